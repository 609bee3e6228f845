"""Provide `litellm-maas demo`: the main job in one minute, offline by default."""

from __future__ import annotations

import datetime as dt
import functools
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import litellm_maas
from litellm_maas import settings
from litellm_maas.cli import spend
from litellm_maas.errors import MaasError
from litellm_maas.ledger import reports
from litellm_maas.ledger.periods import Period
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing.credits import format_credits
from litellm_maas.sandbox import Fault, Sandbox

_TAG = "demo"
_DOWN = "openai/gpt-4o-mini"
_QUESTION = "Thủ đô của Việt Nam ở đâu?"
_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@click.command(name="demo", epilog="Example: litellm-maas demo --offline")
@click.option("--live/--offline", default=None, help="Use the live gateway (costs a few credits), or the sandbox.")
def command(*, live: bool | None) -> None:
    """Show a stream, a tool call and a fallback, and what they cost.

    Without a key it runs against an offline MaaS on this machine. With MAAS_API_KEY set it offers the live gateway.
    """
    if live is None:
        live = (
            settings.api_key() is not None
            and sys.stdin.isatty()
            and click.confirm("MAAS_API_KEY is set. Use the live gateway? It costs a few credits", default=False)
        )
    if live:
        if settings.api_key() is None:
            raise MaasError("no API key", "set MAAS_API_KEY, or run: litellm-maas demo --offline")
        _run({}, None)
        return
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as folder:
        sandbox.faults.add(Fault(status=503, body={"message": "Service Unavailable"}, times=None, model=_DOWN))
        click.echo(f"An offline MaaS answers on {sandbox.url}. Its models only echo the request.")
        click.echo(f"Its {_DOWN} is down, to show a fallback.")
        logging.getLogger("litellm_maas").setLevel(logging.ERROR)  # what it would warn of has just been said
        ledger = Path(folder) / "ledger.db"
        _run({"api_base": sandbox.url, "api_key": sandbox.key}, ledger)
        _compare(ledger, sandbox.bill.micro_credits)


def _run(connection: dict[str, str], ledger: Path | None) -> None:
    # LiteLLM would otherwise try to download its price map, and log the attempt that failed with its traceback.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm  # noqa: PLC0415 - takes seconds, and `--help` needs none of it
    import openai  # noqa: PLC0415 - the same

    litellm_maas.register()
    litellm_maas.track_spend(ledger)
    litellm.suppress_debug_info = True
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    call = functools.partial(litellm.completion, metadata={"tags": [_TAG]}, **connection)
    try:
        _stream(call)
        _tool_call(call)
        _fallback(call)
    except (openai.OpenAIError, litellm.BudgetExceededError) as error:
        raise MaasError(f"the demo failed: {error}") from None
    _title("What that cost", "litellm-maas spend")
    arguments = ["--by", "model", "--tag", _TAG, "--since", "today"]
    spend.command.main([*arguments, *(["--ledger", str(ledger)] if ledger else [])], standalone_mode=False)


def _compare(ledger: Path, billed: int) -> None:
    """Print that the ledger and the sandbox's own bill agree; they come from the same calls and from two programs."""
    with SqliteLedger(ledger, read_only=True) as recorded:
        spent = reports.report(recorded, Period(None, None), dt.timezone.utc).total.micro_credits
    if spent != billed:
        raise MaasError(
            f"the ledger says {format_credits(spent)}, the sandbox's bill {format_credits(billed)}",
            "please report this",
        )
    click.echo(f"The offline MaaS's own bill agrees: {format_credits(billed)}.")


def _stream(call: Callable[..., Any]) -> None:
    _title("A streamed answer", "maas/openai/gpt-4o")
    messages = [{"role": "user", "content": _QUESTION}]
    usage = None
    for chunk in call(
        model="maas/openai/gpt-4o",
        messages=messages,
        stream=True,
        stream_options={"include_usage": True},
    ):
        # The chunk that carries the usage has no choices, in OpenAI's protocol and in LiteLLM from 1.109 on.
        for choice in chunk.choices:
            click.echo(choice.delta.content or "", nl=False)
        usage = getattr(chunk, "usage", None) or usage
    click.echo()
    _tokens(usage)


def _tool_call(call: Callable[..., Any]) -> None:
    _title("A tool call", "maas/qwen/qwen3.6-plus")
    messages = [{"role": "user", "content": "Thời tiết ở Hà Nội thế nào?"}]
    response = call(model="maas/qwen/qwen3.6-plus", messages=messages, tools=[_WEATHER])
    for tool in response.choices[0].message.tool_calls or ():
        click.echo(f"{tool.function.name}({tool.function.arguments})")
    _tokens(response.usage)


def _fallback(call: Callable[..., Any]) -> None:
    asked, instead = f"maas/{_DOWN}", "maas/qwen/qwen3.6-flash"
    _title("A fallback", f"{asked}, then {instead}")
    messages = [{"role": "user", "content": _QUESTION}]
    response = call(model=asked, messages=messages, fallbacks=[instead])
    click.echo(response.choices[0].message.content)
    click.echo(f"answered by {response.model}")
    _tokens(response.usage)


def _title(what: str, model: str) -> None:
    click.echo()
    click.secho(f"{what} ({model})", bold=True)


def _tokens(usage: Any) -> None:
    cached = getattr(usage.prompt_tokens_details, "cached_tokens", 0) or 0
    click.secho(f"  tokens: {usage.prompt_tokens} in ({cached} cached), {usage.completion_tokens} out", dim=True)
