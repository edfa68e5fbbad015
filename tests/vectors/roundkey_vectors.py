"""Make roundkey.json: one round of the encryption, computed with Python's integers alone.

This is a second implementation, written from the specification and importing nothing of the
project: no numpy, no Pyfhel, no lazy reduction. It is slow and plain on purpose. Run
`python tests/vectors/roundkey_vectors.py` to write the file again; it must not change.

Arrays are hashed as SHA-256 over little-endian words: residues and slots 8 bytes, secrets and
errors 1 byte (two's complement), shares 2 bytes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

N_RING, Q, ETA, P = 4096, 2**60 - 2**14 + 1, 42, 65521
FILE = Path(__file__).with_name("roundkey.json")


def frame(*parts):
    out = b""
    for part in parts:
        if isinstance(part, int):
            part = part.to_bytes(8, "little")
        elif isinstance(part, str):
            part = part.encode()
        out += len(part).to_bytes(4, "little") + part
    return out


def sha(*parts):
    return hashlib.sha256(frame(*parts)).digest()


def stream(key):
    cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return lambda size: cipher.update(bytes(size))


def hashed(values, size):
    signed = min(values) < 0
    return hashlib.sha256(
        b"".join(value.to_bytes(size, "little", signed=signed) for value in values)
    ).hexdigest()


def reverse(index):
    return int(format(index, "012b")[::-1], 2)


def smallest_root(prime):
    """The smallest primitive 8192nd root of unity."""
    base = 2
    while pow(base, (prime - 1) // 2, prime) == 1:
        base += 1
    root = pow(base, (prime - 1) // (2 * N_RING), prime)
    return min(pow(root, odd, prime) for odd in range(1, 2 * N_RING, 2))


def ntt(coefficients, prime, root):
    """Cooley-Tukey, values in bit-reversed order (Longa and Naehrig, algorithm 1)."""
    a = [c % prime for c in coefficients]
    powers = [pow(root, reverse(i), prime) for i in range(N_RING)]
    length, blocks = N_RING // 2, 1
    while blocks < N_RING:
        for block in range(blocks):
            factor = powers[blocks + block]
            start = 2 * block * length
            for j in range(start, start + length):
                u, v = a[j], a[j + length] * factor % prime
                a[j], a[j + length] = (u + v) % prime, (u - v) % prime
        length, blocks = length // 2, blocks * 2
    return a


def inverse_ntt(values, prime, root):
    """Gentleman-Sande (Longa and Naehrig, algorithm 2)."""
    a = list(values)
    back = pow(root, -1, prime)
    powers = [pow(back, reverse(i), prime) for i in range(N_RING)]
    length, blocks = 1, N_RING // 2
    while blocks >= 1:
        for block in range(blocks):
            factor = powers[blocks + block]
            start = 2 * block * length
            for j in range(start, start + length):
                u, v = a[j], a[j + length]
                a[j], a[j + length] = (u + v) % prime, (u - v) * factor % prime
        length, blocks = length * 2, blocks // 2
    scale = pow(N_RING, -1, prime)
    return [value * scale % prime for value in a]


def encode(slots, t):
    """SEAL's batching: slot i at power 3**i, the second half at its negative."""
    placed, power = [0] * N_RING, 1
    for i in range(N_RING // 2):
        placed[reverse((power - 1) >> 1)] = slots[i]
        placed[reverse((2 * N_RING - power - 1) >> 1)] = slots[N_RING // 2 + i]
        power = power * 3 % (2 * N_RING)
    return inverse_ntt(placed, t, smallest_root(t))


def expand(study, number, index):
    take, kept = stream(sha("roundkey/a/v1", study, number, index)), []
    while len(kept) < N_RING:
        word = int.from_bytes(take(8), "little") % 2**60
        if word < Q:
            kept.append(word)
    return kept


def binomial(take, count):
    long = [int.from_bytes(take(8), "little").bit_count() for _ in range(count)]
    return [ones + (int.from_bytes(take(4), "little") % 2**20).bit_count() - ETA for ones in long]


def field_elements(take, count):
    """Words are taken in portions of the size that the project takes, so that streams agree."""
    kept = []
    while len(kept) < count:
        raw = take(2 * (count - len(kept) + count // 1000 + 64))
        words = [int.from_bytes(raw[i : i + 2], "little") for i in range(0, len(raw), 2)]
        kept += [word for word in words if word < P][: count - len(kept)]
    return kept


def is_prime(number):
    if number % 2 == 0:
        return number == 2
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        x = pow(base, odd, number)
        if x in (1, number - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % number
            if x == number - 1:
                break
        else:
            return False
    return True


def parameters(hospitals, bits, count):
    limit = (Q - 1) // (hospitals * (2 * ETA + 1))
    t = limit - (limit - 1) % (2 * N_RING)
    while not is_prime(t):
        t -= 2 * N_RING
    fields = 0
    while (hospitals * (2**bits - 2) + 1) ** (fields + 1) <= t:
        fields += 1
    levels = 2**bits - 1
    step = 2 ** max(bits - 1, 1)
    while step >= 2:
        while (hospitals * (levels + step - 1) + 1) ** fields <= t:
            levels += step
        step //= 2
    return {
        "hospitals": hospitals,
        "bits": bits,
        "parameters": count,
        "threshold": 2 * hospitals // 3 + 1,
        "levels": levels,
        "field_base": hospitals * (levels - 1) + 1,
        "fields": fields,
        "plaintext_modulus": t,
        "polynomials": -(-count // (fields * N_RING)),
    }


def pack(values, p):
    polynomials, k, base = p["polynomials"], p["fields"], p["field_base"]
    padded = values + [0] * (polynomials * k * N_RING - len(values))
    return [
        [
            sum(padded[(j * k + field) * N_RING + i] * base**field for field in range(k))
            for i in range(N_RING)
        ]
        for j in range(polynomials)
    ]


def play():
    p = parameters(4, 8, 30_000)
    t, threshold, polynomials = p["plaintext_modulus"], p["threshold"], p["polynomials"]
    root = smallest_root(Q)
    public = [expand("vector", 1, j) for j in range(polynomials + 1)]
    joined, contributors = (1, 2, 3, 4), (1, 2, 4)
    total = [[0] * N_RING for _ in public]
    key, sums, rows = [0] * N_RING, {point: [0] * N_RING for point in joined}, {}
    for point in contributors:
        values = [(k * (point + 7) + point * point) % p["levels"] for k in range(30_000)]
        secret = binomial(stream(sha("vector", "secret", point)), N_RING)
        secret_values = ntt(secret, Q, root)
        # The project draws errors in blocks of eight polynomials; here there is one block.
        drawn = binomial(stream(sha("vector", "errors", point)), (polynomials + 1) * N_RING)
        errors = [drawn[j * N_RING : (j + 1) * N_RING] for j in range(polynomials + 1)]
        slots = pack(values, p)
        ciphertext = []
        for j, a in enumerate(public):
            noise = [t * e for e in errors[j]]
            if j < polynomials:
                message = encode(slots[j], t)
                noise = [
                    e + (m if m <= t // 2 else m - t) for e, m in zip(noise, message, strict=True)
                ]
            noise_values = ntt(noise, Q, root)
            ciphertext.append(
                [(b - x * s) % Q for b, x, s in zip(noise_values, a, secret_values, strict=True)]
            )
        random = field_elements(stream(sha("vector", "shares", point)), (threshold - 1) * N_RING)
        shares = {
            x: [
                (secret[i] + sum(random[(k - 1) * N_RING + i] * x**k for k in range(1, threshold)))
                % P
                for i in range(N_RING)
            ]
            for x in joined
        }
        key = [k + s for k, s in zip(key, secret, strict=True)]
        for x in joined:
            sums[x] = [(u + v) % P for u, v in zip(sums[x], shares[x], strict=True)]
        for row, added in zip(total, ciphertext, strict=True):
            row[:] = [(u + v) % Q for u, v in zip(row, added, strict=True)]
        rows[str(point)] = {
            "secret": hashed(secret, 1),
            "secret_first": secret[:8],
            "secret_values": hashed(secret_values, 8),
            "errors": hashed(drawn, 1),
            "slots": [hashed(row, 8) for row in slots],
            "encoded_first": hashed(encode(slots[0], t), 8),
            "ciphertext": [hashed(row, 8) for row in ciphertext],
            "shares": {str(x): hashed(share, 2) for x, share in shares.items()},
        }
    return p, {
        "study": "vector",
        "round": 1,
        "values": "value k of the hospital at point x is (k (x + 7) + x x) mod levels",
        "keys": "SHA-256(frame('vector', 'secret' or 'errors' or 'shares', point))",
        "joined": joined,
        "contributors": contributors,
        "public": [hashed(a, 8) for a in public],
        "public_first": public[0][:3],
        "hospitals": rows,
        "share_sums": {str(x): hashed(values, 2) for x, values in sums.items()},
        "round_key": hashed(key, 2),
        "round_key_first": key[:8],
        "sum": [hashed(row, 8) for row in total],
    }


def main():
    p, played = play()
    rows = [
        parameters(hospitals, bits, 10**6)
        for hospitals in (3, 4, 7, 10, 20, 50)
        for bits in (4, 6, 8, 12, 16)
    ]
    content = {
        "made_by": "tests/vectors/roundkey_vectors.py",
        "modulus": Q,
        "root": smallest_root(Q),
        "frame": {"parts": "('a', 1, b'x')", "sha256": sha("a", 1, b"x").hex()},
        "parameters": rows,
        "round": {"parameters": p, **played},
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
