"""Provide `litellm-maas config`: check a config, and write templates of one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from litellm_maas import settings
from litellm_maas.pricing import price_book

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(name="config", epilog="Example: litellm-maas config check proxy.yaml")
def command() -> None:
    """Check or start a config for LiteLLM's router or proxy."""
    # LiteLLM would otherwise try to download its price map.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")


@command.command(
    short_help="Say what is wrong with a config, and how to fix it.",
    epilog="Example: litellm-maas config check proxy.yaml",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_JSON
def check(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Say what is wrong with FILES and how to fix it.

    A file with `litellm_settings`, `general_settings` or `include` is taken for a proxy's config, any other one for one
    of `load_router`'s. It is checked with the environment of this command: run it where the program will run. Exits
    with 1 if there is an error; warnings alone exit with 0.
    """
    from litellm_maas.errors import ConfigFileError  # noqa: PLC0415 - with the next, which loads LiteLLM for seconds
    from litellm_maas.router.lint.diagnostics import Diagnostic  # noqa: PLC0415
    from litellm_maas.router.lint.proxy_config import check_file  # noqa: PLC0415

    prices = _prices()

    def found_in(file: Path) -> list[Diagnostic]:
        try:
            return list(check_file(file, prices))
        except ConfigFileError as mistake:
            return [Diagnostic("error", mistake)]

    findings = [finding for file in files for finding in found_in(file)]
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], ensure_ascii=False, indent=2))
    for finding in () if as_json else findings:
        colour = "red" if finding.severity == "error" else "yellow"
        click.echo(f"{click.style(finding.severity, fg=colour)}: {finding.error}")
    if not findings and not as_json:
        click.echo(f"OK: nothing is wrong with {', '.join(map(str, files))}.")
    if any(finding.severity == "error" for finding in findings):
        sys.exit(1)


@command.command(
    short_help="Write the shipped configs and a price file into a folder.",
    epilog="Example: litellm-maas config init my-configs",
)
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@_JSON
def init(folder: Path, *, as_json: bool) -> None:
    """Write the shipped configs into FOLDER, to be changed at will; a file that is there already stays as it is.

    `litellm --config proxy.current.yaml` starts a proxy with them; `litellm_maas.load_router("router.current.yaml")`
    makes a router. The `.current` files hold ids that are live and priced, the others the vendor's example trio.
    """
    from litellm_maas.router import templates  # noqa: PLC0415 - the group's help needs none of it

    targets = {folder / name: templates.config_file(name) for name in templates.TEMPLATES}
    kept = [str(target) for target in targets if target.exists()]
    written = [str(target) for target in targets if not target.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for target, source in targets.items():
        if str(target) in written:
            target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"written": written, "kept": kept}))
        return
    width = max(map(len, written), default=0)
    for target in targets:
        if str(target) in written:
            click.echo(f"{target!s:{width}}  {templates.ABOUT[target.name]}")
    for path in kept:
        click.echo(f"{path} already exists and was kept.", err=True)


def _prices() -> Any:
    own = settings.prices()
    return price_book.official_prices() if own is None else price_book.with_overrides(Path(own))
