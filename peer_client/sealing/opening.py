"""Open the sum of a round under its recorded round key, and nothing else.

Everybody may do this: sum and key are public by then. The key is checked again here,
not taken on the ledger's word, and the opened sum is refused unless every field is one
that the counted updates can add up to. A refusal discards the round; it is never
opened under another key or for other contributors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chaincode.roundkey import ring
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.parameters import MODULUS, RING_DEGREE, RoundParameters
from chaincode.roundkey.shares import AggregateKeyError, check_round_key
from peer_client.sealing.encoder import encoder_for
from peer_client.sealing.errors import OpeningError
from peer_client.sealing.upload import BLOCK
from peer_client.update.errors import PackedRangeError
from peer_client.update.packing import unpack


def open_sum(
    ciphertext_sum: ring.Residues,
    round_key: ring.Integers,
    *,
    study: str,
    round_number: int,
    parameters: RoundParameters,
    contributors: int,
) -> NDArray[np.int64]:
    """Decrypt, decode and unpack a sum.

    Args:
        ciphertext_sum: Sum of the contributors' ciphertexts, residues below q, shape
            (polynomials + 1, 4096), the key check last.
        round_key: As recorded, centred, shape (4096,).
        study: Name of the study.
        round_number: Number of the round.
        parameters: The study's numbers.
        contributors: |S|, how many updates were summed.

    Returns:
        For every value the sum over the contributors, shape (parameters,).

    Raises:
        OpeningError: Too few contributors, another shape, the key does not open the
            key check, or a field or the padding is out of range.
    """
    rows = parameters.polynomials
    if not parameters.contributors_min <= contributors <= parameters.hospitals:
        raise OpeningError(f"a sum of {contributors} updates is not opened in this study")
    if ciphertext_sum.shape != (rows + 1, RING_DEGREE):
        raise OpeningError(
            f"the sum has shape {ciphertext_sum.shape}, not {(rows + 1, RING_DEGREE)}"
        )
    if int(ciphertext_sum.max()) >= MODULUS:
        raise OpeningError("the sum holds a residue that is not below q")
    try:
        check_round_key(
            round_key,
            ciphertext_sum[-1],
            study=study,
            round_number=round_number,
            parameters=parameters,
            contributors=contributors,
        )
    except AggregateKeyError as error:
        raise OpeningError(str(error)) from error
    encoder = encoder_for(parameters.plaintext_modulus)
    encoder.load_round_key(round_key)
    in_polynomial = parameters.fields * RING_DEGREE
    opened = np.empty(parameters.parameters, np.int64)
    for start in range(0, rows, BLOCK):
        stop = min(start + BLOCK, rows)
        public = expand(study, round_number, stop - start, first=start)
        slots = np.empty((stop - start, RING_DEGREE), np.int64)
        for row in range(stop - start):
            slots[row] = encoder.decrypt(ciphertext_sum[start + row], public[row])
        into = opened[start * in_polynomial : stop * in_polynomial]
        try:
            into[:] = unpack(slots, into.size, parameters, contributors=contributors)
        except PackedRangeError as error:
            raise OpeningError(str(error)) from error
    return opened
