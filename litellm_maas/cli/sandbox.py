"""Provide `litellm-maas sandbox`: an offline MaaS until Ctrl-C."""

from __future__ import annotations

import contextlib
import shlex
import signal
import threading

import click

from litellm_maas import settings
from litellm_maas.cli import tables
from litellm_maas.errors import MaasError
from litellm_maas.sandbox import Sandbox


@click.command(name="sandbox", epilog="Example: litellm-maas sandbox --rpm 0")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="The port; 0 picks a free one."
)
@click.option("--rpm", type=click.IntRange(min=0), default=10, show_default=True, help="Requests a minute for the account; 0 for no limit.")  # fmt: skip  # noqa: E501
@click.option("--balance", type=click.IntRange(min=0), help="Prepaid credits; without it the account is postpaid.")
def command(port: int, rpm: int, balance: int | None) -> None:
    """Run an offline MaaS on this machine.

    It follows what is publicly known of the gateway and is not the gateway. Point a program at it with the variables
    that it prints: base URL, key, and a ledger of its own, so that play money is not taken for spend.
    """
    sandbox = Sandbox(port=port, rpm=rpm)
    if balance is not None:
        sandbox.account.balance = balance * 1_000_000
    try:
        sandbox.start()
    except OSError as error:
        raise MaasError(f"port {port} cannot be used ({error.strerror})", "choose another with --port") from None
    ledger = settings.data_folder() / "sandbox.db"
    for name, value in {**sandbox.environment(), "MAAS_LEDGER": shlex.quote(str(ledger))}.items():
        click.echo(f"export {name}={value}")
    click.echo("Serving until Ctrl-C.", err=True)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    with contextlib.suppress(KeyboardInterrupt):
        stopped.wait()
    sandbox.stop()
    spent = sandbox.bill.micro_credits / 1_000_000
    click.echo(f"{tables.counted(len(sandbox.bill.charges), 'call')}, {spent:,.2f} VND.", err=True)
