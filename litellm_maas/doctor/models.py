"""The models that a config or the programs of this machine use: listed by the gateway, priced, called with success?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from litellm_maas.doctor.check import Check, green, not_checked, red, yellow
from litellm_maas.pricing.book import PriceBook
from litellm_maas.routing.includes import Config
from litellm_maas.routing.model_ids import nearest

_PREFIX = "maas/"


def configured(file: Path) -> dict[str, bool]:
    """The model ids of a config, and whether it says of each that it has no price.

    Raises:
        DataFileError: The file cannot be read.
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
    listed: tuple[str, ...] | None, used: Mapping[str, bool], attempts: Mapping[str, str], book: PriceBook | None
) -> Iterator[Check]:
    """Whether the models in use are listed, priced, and were called with success.

    Args:
        listed: What the key can see; None where nobody knows.
        used: The models in use, and whether their lack of a price is acknowledged.
        attempts: What the ledger's last attempts tell, by model.
        book: The prices in force; None where they cannot be read.
    """
    if listed is None:
        yield not_checked("models", "gateway")
    else:
        yield _listed(listed, used)
    now = dt.datetime.now(dt.timezone.utc)
    unpriced = [] if book is None else [each for each, said in used.items() if not said and not book.price(each, now)]
    if unpriced:
        yield yellow(
            "model prices",
            f"no price is known for {', '.join(unpriced)}: calls are recorded as unpriced",
            "put the price into the file that MAAS_PRICES names (begin with configs/prices.example.yaml)",
        )
    else:
        yield green("model prices", f"known or acknowledged for all {len(used)} models in use")
    refused = [f"{each} ({attempts[each]})" for each in used if attempts.get(each, "yes") != "yes"]
    if refused:
        yield yellow(
            "last attempts", f"refused at the last attempt: {', '.join(refused)}", "enable them in the MaaS console"
        )
    else:
        yield green("last attempts", f"{sum(each in attempts for each in used)} of {len(used)} models known to answer")


def _listed(listed: tuple[str, ...], used: Iterable[str]) -> Check:
    for model in used:
        if model in listed:
            continue
        near = nearest(model, listed)
        mend = f"write maas/{near}" if near else "choose one of: litellm-maas models"
        return red("models", f"{model} is not listed for this key", mend)
    if not listed:
        return red("models", "the key can see no model at all", "enable models for the account in the MaaS console")
    return green("models", f"{len(listed)} listed for this key")
