"""`hospital-client data import`: an export of a PACS becomes a data folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from network.runtime.program import json_option, print_json
from network.runtime.table import print_fields, print_table

if TYPE_CHECKING:
    from peer_client.pacs.data_folder import Import


@click.command("import")
@click.argument("paths", metavar="[SOURCE] DEST", nargs=-1, required=True,
                type=click.Path(path_type=Path))  # fmt: skip
@click.option("--dicomweb", "url", metavar="URL",
              help="Import from this DICOMweb server in place of SOURCE.")  # fmt: skip
@click.option(
    "--query", "queries", multiple=True, metavar="KEYWORD=VALUE",
    help="Only the server's studies that match, e.g. StudyDate=20250101-20251231. May be given "
    "several times.",
)  # fmt: skip
@click.option(
    "--labels", "labels_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV file with `patient` or `accession`, and `label`, `fold` or `split`.",
)  # fmt: skip
@click.option("--part", default="imported", show_default=True, metavar="NAME",
              help="Name of the data set in index.csv.")  # fmt: skip
@click.option(
    "--series", "wanted", multiple=True, metavar="TEXT",
    help="Overrule the choice: take the series with this UID, number, or text in its "
    "description, in studies that have one. May be given several times.",
)  # fmt: skip
@click.option("--add", is_flag=True, help="Add to a data folder that is there.")
@json_option
@click.pass_obj
def import_(
    member: Path | None,
    paths: tuple[Path, ...],
    url: str | None,
    queries: tuple[str, ...],
    labels_file: Path | None,
    part: str,
    wanted: tuple[str, ...],
    add: bool,
    as_json: bool,
) -> None:
    """Make the data folder DEST from SOURCE, an export of a PACS as it comes.

    With --dicomweb the studies come from a server; a bearer token is taken from the environment
    variable HOSPITAL_DICOMWEB_TOKEN.

    Folders may be nested, and hold several patients, studies and series, a DICOMDIR, localizers,
    reports, previews. Of each study one axial CT reconstruction is taken: an original one that
    covers the chest, with a lung kernel and thin slices (docs/data.md has the rules). All that is
    passed over is named with its reason. Patients get keyed pseudonyms; the key stays in the
    member's directory.
    """
    from network.consortium.member import MemberDirectory
    from peer_client.cli.live import Stages
    from peer_client.errors import SettingsError
    from peer_client.pacs.data_folder import import_export
    from peer_client.pacs.patients_table import read_patients_table
    from peer_client.pacs.pseudonyms import key_in

    if len(paths) != (2 if url is None else 1):
        raise click.UsageError("give SOURCE and DEST, or --dicomweb URL and DEST")
    if queries and url is None:
        raise click.UsageError("--query is for --dicomweb")
    dest = paths[-1]
    if url is None and not paths[0].exists():
        raise click.UsageError(f"{paths[0]} does not exist")
    if member is None:
        raise SettingsError("no member was named: give --member or set HOSPITAL_MEMBER")
    table = read_patients_table(labels_file) if labels_file is not None else None
    pseudonyms = key_in(MemberDirectory(member).client_path)
    told = Stages()
    if url is None:
        found = import_export(
            paths[0], dest, pseudonyms, part=part, table=table, wanted=wanted, add=add, told=told
        )
    else:
        from peer_client.pacs.dicomweb import TOKEN_VARIABLE, DicomwebServer, import_from_server

        found = import_from_server(
            DicomwebServer(url, os.environ.get(TOKEN_VARIABLE)),
            dest,
            pseudonyms,
            part=part,
            query=dict(_query(each) for each in queries),
            table=table,
            wanted=wanted,
            add=add,
            told=told,
        )
    if as_json:
        print_json({**found.to_json(), "folder": str(dest)})
        return
    _print(found, dest)


def _query(text: str) -> tuple[str, str]:
    keyword, equals, value = text.partition("=")
    if not (keyword.isalnum() and equals and value):
        raise click.UsageError(f"--query is {text!r}; write KEYWORD=VALUE")
    return keyword, value


def _print(found: Import, dest: Path) -> None:
    print_table(
        f"written to {dest}",
        ["patient", "series", "slices", "label", "fold"],
        [
            (each.patient, each.series, each.slices, each.label or "-", each.fold or "-")
            for each in found.volumes
        ],
    )
    for each in found.passed_over:
        click.echo(f"passed over  {each}")
    patients = len({each.patient for each in found.volumes})
    fields = [("volumes", f"{len(found.volumes)} of {patients} patients")]
    fields.append(("passed over", str(len(found.passed_over))))
    if found.without_label:
        fields.append(("not in the table of labels", ", ".join(found.without_label)))
    if found.unused_lines:
        lines = ", ".join(map(str, found.unused_lines))
        fields.append(("lines of that table without a study", lines))
    print_fields("in all:", fields)
    click.echo(f"next: hospital-client data check {dest}")
