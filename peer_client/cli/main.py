"""`hospital-client`: what one hospital does in the consortium, from a terminal.

Starts without TensorFlow, matplotlib and gRPC: a command imports what it needs when it runs.
"""

from __future__ import annotations

import os

import click

from network.runtime.program import Program, completion, explain, stop_on_signals
from peer_client.cli.agreeing import approve, propose
from peer_client.cli.audit import audit
from peer_client.cli.channel import channel
from peer_client.cli.data import data
from peer_client.cli.evaluate import evaluate
from peer_client.cli.member_option import member_directory, with_member_first
from peer_client.cli.models import model, predict
from peer_client.cli.parameters import parameters
from peer_client.cli.reports import report
from peer_client.cli.resume import resume
from peer_client.cli.simulate import simulate
from peer_client.cli.studies import study
from peer_client.cli.training import status, train


class HospitalClient(Program):
    """The program, in which `--member` may stand before the command or after it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command."""
        return super().parse_args(ctx, with_member_first(args))


@click.group(cls=HospitalClient, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--member",
    envvar="HOSPITAL_MEMBER",
    metavar="NAME",
    help="Who acts (or HOSPITAL_MEMBER): a member's name under CONSORTIUM_ROOT, or its directory.",
)
@click.version_option(package_name="capsule-consortium")
@click.pass_context
def main(context: click.Context, member: str | None) -> None:
    """A hospital's work: agree on studies, train, predict, audit.

    Every command acts for one member of the consortium, named by --member or HOSPITAL_MEMBER.
    The option may stand before the command or after it.
    Results go to stdout (with --json for programs), progress to stderr.
    """
    stop_on_signals()
    context.obj = member_directory(member, os.environ)


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
