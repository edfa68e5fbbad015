"""`hospital-client study parameters`: what a choice costs, and what it is safe against."""

from __future__ import annotations

from typing import Any

import click

from network.runtime.program import json_option, print_json
from network.runtime.table import print_fields


@click.command()
@click.option("--hospitals", type=int, required=True, help="N, hospitals of the study.")
@click.option("--bits", type=int, required=True, help="Width of one quantised value.")
@click.option("--parameters", type=int, required=True, help="Shared values of the model.")
@click.option("--threshold", type=int, help="T, share sums that open a round (2N/3 by default).")
@click.option("--contributors-min", type=int, help="k, fewest updates in a sum (T by default).")
@json_option
def parameters(
    hospitals: int,
    bits: int,
    parameters: int,
    threshold: int | None,
    contributors_min: int | None,
    as_json: bool,
) -> None:
    """Derive thresholds, sizes and security from hospitals, bits and model size.

    Unsafe or overflowing combinations are refused with the reason. Below stands what every allowed
    T is safe against and what it costs: how many hospitals may be away.
    """
    from chaincode.roundkey.parameters import derive
    from chaincode.roundkey.safety import safety_words
    from network.quorum import hospital_quorum

    found = derive(
        hospitals, bits, parameters, threshold=threshold, contributors_min=contributors_min
    )
    values: dict[str, Any] = {
        "hospitals": found.hospitals,
        "bits": found.bits,
        "parameters": found.parameters,
        "threshold": found.threshold,
        "contributors_min": found.contributors_min,
        "cheating_max": found.safety().cheating,
        "pooling_max": found.safety().pooling,
        "away_max": found.safety().away,
        "levels": found.levels,
        "plaintext_modulus": found.plaintext_modulus,
        "fields": found.fields,
        "polynomials": found.polynomials,
        "upload_bytes": found.upload_bytes,
        "bytes_per_parameter": round(found.bytes_per_parameter, 4),
        "failure_probability": found.failure_probability,
        "security_bits_classical": found.security_bits_classical,
        "security_bits_quantum": found.security_bits_quantum,
    }
    choices = [
        derive(hospitals, bits, parameters, threshold=least)
        for least in range(hospital_quorum(hospitals), hospitals + 1)
    ]
    if as_json:
        values["safety"] = safety_words(found.safety())
        values["choices"] = [
            {
                "threshold": each.threshold,
                "cheating_max": each.safety().cheating,
                "pooling_max": each.safety().pooling,
                "away_max": each.safety().away,
            }
            for each in choices
        ]
        print_json(values)
        return
    words = {
        "hospitals": "hospitals (N)",
        "bits": "bits a value",
        "parameters": "shared values",
        "threshold": "share sums that open a round (T)",
        "contributors_min": "fewest updates in a sum (k)",
        "levels": "levels of a value (L)",
        "plaintext_modulus": "plaintext modulus (t)",
        "fields": "values in a slot (K)",
        "polynomials": "polynomials, without the key check",
        "upload_bytes": "bytes a hospital sends in a round",
        "bytes_per_parameter": "bytes a shared value (plain float32: 4)",
        "failure_probability": "probability that a sum cannot be decrypted",
        "security_bits_classical": "log2 of operations to read one update",
        "security_bits_quantum": "the same, with a quantum computer",
    }
    fields = [(words[name], value) for name, value in values.items() if name in words]
    print_fields("parameters:", [*fields, ("safety", safety_words(found.safety()))])
    print_fields(
        "\nchoices of T, with k = T:",
        [(f"T = {each.threshold}", safety_words(each.safety())) for each in choices],
    )
    click.echo(f"\n{found.source}")
