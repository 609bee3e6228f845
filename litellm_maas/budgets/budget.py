"""Define budgets: what may be spent, on what, in which period, and what happens when it is used up."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from litellm_maas import odd_numbers, yaml_file
from litellm_maas.errors import SettingsError
from litellm_maas.ledger import periods
from litellm_maas.ledger.event import Event, host_of, sanitize_text
from litellm_maas.ledger.periods import Period
from litellm_maas.pricing.credits import MICRO_CREDITS, parse_credits, to_credits
from litellm_maas.tracking.attribution import Attribution

_ROLLING = re.compile(r"rolling (\d+)([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_CALENDAR = ("hour", "day", "week", "month", "total")
_ACTION = re.compile(r"block|warn|downgrade:.+")
_KEPT = {"kept": True}
"""The context in which a definition is read that a ledger keeps: it was accepted once, so it holds as it is written."""


def _credits(value: object, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
    odd_numbers.refuse(value)
    amount = value
    if isinstance(value, str) and info.context is not _KEPT:
        amount = to_credits(parse_credits(value))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        # YAML has no decimals: the shortest text of a float is what the person typed.
        amount = Decimal(repr(value))
    try:
        return check(amount)
    except ValidationError:
        raise SettingsError(f"{value!r} cannot be a limit", "write credits (VND) above 0, such as 200000") from None


def _percentages(value: object, check: ValidatorFunctionWrapHandler) -> object:
    for each in value if isinstance(value, list) else ():
        odd_numbers.refuse(each)
    try:
        return check(value)
    except ValidationError:
        raise SettingsError(f"{value!r} are not percentages", "write a list of whole numbers from 1 to 1000") from None


def _strip_prefix(value: str) -> str:
    # People write ids as LiteLLM does; calls are counted by the id that the gateway knows.
    if not (model := value.strip().removeprefix("maas/").strip()):
        raise SettingsError(f"{value!r} is not a model id", "write one such as openai/gpt-4o")
    return model


def _host(value: str) -> str:
    # People copy base URLs; calls are counted by their host.
    if (host := host_of(value if "://" in value else f"https://{value}")) is None:
        raise SettingsError(f"{value!r} is not a host", "write one such as maas.example.vn")
    return host


_Name = Annotated[str, AfterValidator(sanitize_text)]
"""A name as it is recorded."""

FILTERS = ("model", "tag", "user", "end_user", "team", "key", "host")
"""What a budget can be about, in the order in which it is said."""


class Budget(BaseModel):
    """Limit what may be spent. Every call that all filters match counts, and has to fit.

    Attributes:
        name: What it is called.
        credits: What may be spent in a period, in credits (VND).
        per: ``hour``, ``day``, ``week``, ``month``, ``total``, or ``rolling 24h`` (also d, w) for a rolling window.
        model: Only calls to this model id.
        tag: Only calls with this tag.
        user: Only calls of this user; through a proxy, the owner of the key.
        end_user: Only calls through a proxy that name this end user; any client may name any.
        team: Only calls of the team with this alias, or this id.
        key: Only calls with the proxy key of this alias.
        host: Only calls to this host, with its port if it has one.
        action: ``block`` blocks a call, ``warn`` only says so, ``downgrade:MODEL`` sends it to another model.
        allow_unpriced: Whether models without a price may be called; what they cost is then in no sum.
        warn_at: Percentages at which an alert is sent, once in a period.
        timezone: The zone whose days, weeks and months are meant.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    credits: Annotated[Decimal, Field(gt=0, le=10**12, decimal_places=6), WrapValidator(_credits)]
    per: str = "month"
    model: Annotated[str, AfterValidator(_strip_prefix)] | None = None
    tag: _Name | None = None
    user: _Name | None = None
    end_user: _Name | None = None
    team: _Name | None = None
    key: _Name | None = None
    host: Annotated[str, AfterValidator(_host)] | None = None
    action: str = "block"
    allow_unpriced: bool = False
    warn_at: Annotated[tuple[Annotated[int, Field(gt=0, le=1000)], ...], WrapValidator(_percentages)] = (50, 80, 100)
    timezone: str = periods.DEFAULT_ZONE

    @field_validator("per")
    @classmethod
    def _is_a_period(cls, value: str) -> str:
        if value not in _CALENDAR and not _ROLLING.fullmatch(value):
            raise SettingsError(f"{value!r} is not a period", f"write {', '.join(_CALENDAR)}, or rolling 24h")
        return value

    @field_validator("action")
    @classmethod
    def _is_an_action(cls, value: str, info: ValidationInfo) -> str:
        if not _ACTION.fullmatch(value):
            raise SettingsError(f"{value!r} is not an action", "write block, warn, or downgrade:MODEL")
        name, _, model = value.partition(":")
        if not model:
            return value
        cheaper = _strip_prefix(model)
        if cheaper == info.data.get("model") and info.context is not _KEPT:
            raise SettingsError(
                f"{value!r} leads back to the model that is limited", "name a cheaper one, or write block"
            )
        return f"{name}:{cheaper}"

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        periods.zone(value)
        return value

    @property
    def limit(self) -> int:
        """Return the limit, in micro-credits."""
        return int(self.credits * MICRO_CREDITS)

    @property
    def cheaper_model(self) -> str | None:
        """Return the model that calls are sent to when the one they ask for does not fit."""
        return self.action.partition(":")[2] or None

    @property
    def window(self) -> dt.timedelta | None:
        """Return the length of a rolling window; None for a period of the calendar."""
        found = _ROLLING.fullmatch(self.per)
        return None if found is None else dt.timedelta(hours=int(found.group(1)) * _HOURS[found.group(2)])

    def period(self, now: dt.datetime) -> Period:
        """Return the period that a moment is in; the budget resets at its end."""
        if self.window is not None:
            return Period(now - self.window, None)
        if self.per == "total":
            return Period(None, None)
        return periods.around(self.per, now.astimezone(periods.zone(self.timezone)))

    def matches(self, model: str, identity: Attribution | Event) -> bool:
        """Return whether a call counts."""
        return (
            self.model in (None, model)
            and (self.tag is None or self.tag in identity.tags)
            and self.user in (None, identity.user)
            and self.end_user in (None, identity.end_user)
            and self.team in (None, identity.team, identity.team_id)
            and self.key in (None, identity.key_alias)
            and self.host in (None, identity.host)
        )

    def describe(self) -> str:
        """Return what it limits, in words."""
        named = [f"{name.replace('_', ' ')} {value}" for name in FILTERS if (value := getattr(self, name)) is not None]
        return ", ".join(named) or "all calls"


def _with_names_of_their_own(budgets: tuple[Budget, ...]) -> tuple[Budget, ...]:
    names = [budget.name for budget in budgets]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"two budgets are called {name!r}", "give each a name of its own")
    return budgets


Budgets = Annotated[tuple[Budget, ...], AfterValidator(_with_names_of_their_own)]
"""Budgets as they stand in a file: of their own, or of a router's config."""


class BudgetFile(BaseModel):
    """A file of budgets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    budgets: Budgets


def read(file: Path) -> tuple[Budget, ...]:
    """Return the budgets in a file.

    Raises:
        ConfigFileError: The first mistake, with file, line and field.
    """
    document = yaml_file.read(file)
    if isinstance(document.data, list):
        raise document.error((), "is a list", "write `budgets:` on a line above it")
    return document.validate(BudgetFile).budgets


def from_mapping(definition: Mapping[str, Any]) -> Budget:
    """Return a budget from plain JSON values, as a ledger keeps it.

    Raises:
        ValidationError: It is none.
    """
    return Budget.model_validate(definition, context=_KEPT)
