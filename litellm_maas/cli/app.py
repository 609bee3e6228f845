"""Group the commands. A subcommand's module is loaded only when it is called: most need no LiteLLM."""

from __future__ import annotations

import importlib
import io
import sys

import click

from litellm_maas._version import __version__
from litellm_maas.errors import MaasError

_COMMANDS = {
    "budget": "Limit what may be spent, and show what is left.",
    "config": "Show, check or start a config for LiteLLM's router or proxy.",
    "credits": "Show how many credits are left, and when they run out.",
    "demo": "Show a stream, a tool call, a fallback and the bill, offline.",
    "doctor": "Say what is wrong with this set-up, and how to fix it.",
    "models": "List the models that the key can see, with their prices.",
    "prices": "Show the price lists, and what a call would cost.",
    "sandbox": "Run an offline MaaS on this machine.",
    "spend": "Show where the credits went.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"litellm_maas.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - ditto
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: litellm-maas demo",
)
@click.version_option(__version__, prog_name="litellm-maas")
def group() -> None:
    """GreenNode MaaS for LiteLLM: models, spend and an offline gateway."""


def main() -> None:
    """Run the command line; print an error in one line, with exit status 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot encode a character shows another one in its place.
        sys.stdout.reconfigure(errors="replace")
    try:
        group()
    except MaasError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
