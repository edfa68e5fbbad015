"""`hospital-client`: what one hospital does in the consortium, from a terminal.

Starts without TensorFlow, matplotlib and gRPC: a command imports what it needs when it runs.
"""

from __future__ import annotations

from pathlib import Path

import click

from network.runtime.program import Program, completion, explain, stop_on_signals
from peer_client.cli.agreeing import approve, propose
from peer_client.cli.audit import audit
from peer_client.cli.channel import channel
from peer_client.cli.data import data
from peer_client.cli.evaluate import evaluate
from peer_client.cli.models import model, predict
from peer_client.cli.parameters import parameters
from peer_client.cli.reports import report
from peer_client.cli.resume import resume
from peer_client.cli.simulate import simulate
from peer_client.cli.studies import study
from peer_client.cli.training import status, train


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--member",
    envvar="HOSPITAL_MEMBER",
    type=click.Path(file_okay=False, path_type=Path),
    help="The member's directory (or HOSPITAL_MEMBER); `consortium env MEMBER` prints it.",
)
@click.version_option(package_name="capsule-consortium")
@click.pass_context
def main(context: click.Context, member: Path | None) -> None:
    """A hospital's work: agree on studies, train, predict, audit.

    Every command acts for one member of the consortium, named by --member or HOSPITAL_MEMBER.
    Results go to stdout (with --json for programs), progress to stderr.
    """
    stop_on_signals()
    context.obj = member


for command in (propose, approve, parameters, resume):
    study.add_command(command)
main.add_command(study)
main.add_command(channel)
main.add_command(data)
main.add_command(train)
main.add_command(status)
main.add_command(predict)
main.add_command(model)
main.add_command(audit)
main.add_command(report)
main.add_command(evaluate)
main.add_command(simulate)
main.add_command(explain)
main.add_command(completion)
