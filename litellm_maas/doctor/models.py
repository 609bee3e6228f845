"""Check the models that a config or this machine's programs use: listed, priced, and last called with success."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from litellm_maas.did_you_mean import nearest
from litellm_maas.doctor.check import Check, failed, passed, skipped, warned
from litellm_maas.pricing.price_book import PriceBook
from litellm_maas.router.lint.includes import Config

_PREFIX = "maas/"


def configured(file: Path) -> dict[str, bool]:
    """Return the model ids of a config, and whether it says of each that it has no price.

    Raises:
        ConfigFileError: The file cannot be read.
    """
    found: dict[str, bool] = {}
    for document in Config(file).documents:
        entries = document.data.get("model_list")
        for entry in entries if isinstance(entries, list) else ():
            model = _part(entry, "litellm_params").get("model")
            if isinstance(model, str) and model.startswith(_PREFIX):
                acknowledged = _part(entry, "model_info").get("unpriced") is True
                model_id = model.removeprefix(_PREFIX)
                found[model_id] = found.get(model_id, True) and acknowledged
    return found


def _part(entry: object, name: str) -> Mapping[str, Any]:
    part = entry.get(name) if isinstance(entry, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def check(
    listed: tuple[str, ...] | None,
    used: Mapping[str, bool],
    attempts: Mapping[str, str],
    book: PriceBook | None,
    by: Path | None,
    because: str,
) -> Iterator[Check]:
    """Check whether the models in use are listed, priced, and were called with success.

    Args:
        listed: What the key can see; None where nobody knows.
        used: The models in use, and whether their lack of a price is acknowledged.
        attempts: What the ledger's last attempts tell, by model.
        book: The current prices; None where they cannot be read.
        by: The config that names the models in use; None where the ledger does.
        because: What has to be fixed first where nobody knows what is listed.
    """
    if listed is None:
        yield skipped("models", because)
    else:
        yield _listed(listed, used, by)
    now = dt.datetime.now(dt.timezone.utc)
    unpriced = [] if book is None else [each for each, said in used.items() if not said and not book.price(each, now)]
    if unpriced:
        yield warned(
            "model prices",
            f"no price is known for {', '.join(unpriced)}: calls are recorded as unpriced",
            "put the price into the file that MAAS_PRICES names (begin with: litellm-maas config init)",
        )
    elif not used:
        yield passed("model prices", "no models in use yet")
    else:
        acknowledged = [each for each, said in used.items() if said and book and not book.price(each, now)]
        but = f"; the config says of {', '.join(acknowledged)} that there is none" if acknowledged else ""
        known = len(used) - len(acknowledged)
        yield passed("model prices", f"known for {known} of {len(used)} models in use{but}")
    refused = [each for each, answer in attempts.items() if answer != "yes" and (by is None or each in used)]
    if refused:
        shown = ", ".join(f"{each} ({attempts[each]})" for each in refused)
        yield warned(
            "last attempts", f"refused at the last attempt in the ledger: {shown}", "; ".join(_fixes(refused, listed))
        )
    elif not used:
        yield passed("last attempts", "no models in use yet")
    else:
        yield passed("last attempts", f"{sum(each in attempts for each in used)} of {len(used)} models known to answer")


def _fixes(refused: Iterable[str], listed: tuple[str, ...] | None) -> Iterator[str]:
    known = [each for each in refused if listed is None or each in listed]
    if known:
        yield f"enable {', '.join(known)} in the MaaS console"
    for model in refused:
        if model not in known:
            yield f"{model} is not listed; if it is still used, {_instead(model, listed or ())}"


def _instead(model: str, listed: Iterable[str]) -> str:
    near = nearest(model, listed)
    return f"write maas/{near}" if near else "choose one of: litellm-maas models"


def _listed(listed: tuple[str, ...], used: Iterable[str], by: Path | None) -> Check:
    if not listed:
        return failed("models", "the key can see no models", "enable models for the account in the MaaS console")
    for model in used:
        if model in listed:
            continue
        if by is not None:
            return failed("models", f"{model} is not listed for this key", _instead(model, listed))
        # It answered somebody: with another key or host perhaps, whose ledger is the same.
        what = f"{model} was called recently according to the ledger, but is not listed for this key"
        return warned("models", what, f"if it is still used, {_instead(model, listed)}")
    return passed("models", f"{len(listed)} listed for this key")
