"""`hospital-client data ...`: a hospital's CT as a data folder, before any study exists."""

from __future__ import annotations

import click

from peer_client.cli.data_check import check
from peer_client.cli.data_import import import_


@click.group()
def data() -> None:
    """A hospital's CT as a data folder: make one from an export, check one."""


data.add_command(check)
data.add_command(import_)
