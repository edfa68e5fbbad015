"""The arithmetic of round keys that both sides compute: no ledger, no JSON, no secret.

Parameters, the ring and its transform, the public polynomials, Shamir's shares, and the one way to
turn several fields into bytes. Specification: docs/security.md.
"""
