"""Filters: which events a report, an export, a repricing or a tail is about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, get_args

from litellm_maas.errors import SettingsError
from litellm_maas.ledger.event import Event, Status, host_of, sanitize_text

COLUMNS = {
    "model": ("model",),
    "user": ("user",),
    "end_user": ("end_user",),
    "team": ("team", "team_id"),
    "key": ("key_alias",),
    "session": ("session_id",),
    "status": ("status",),
    "host": ("host",),
}
"""By filter, the columns of which one has to hold its value; a tag is one of a list."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What events have to have; None is anything, an empty text is nothing.

    Attributes:
        model: The id that was asked of the gateway.
        team: The alias or the id of a team.
        key: The alias of a proxy's key.
        tag: One of the tags.
    """

    model: str | None = None
    user: str | None = None
    end_user: str | None = None
    team: str | None = None
    key: str | None = None
    session: str | None = None
    status: str | None = None
    host: str | None = None
    tag: str | None = None

    @classmethod
    def parse(cls, **named: str | None) -> Filters:
        """Return filters out of what people write: ids with `maas/` in front, base URLs, names of any length.

        Raises:
            SettingsError: There is no such status.
        """
        written = {name: value and _AS_RECORDED.get(name, sanitize_text)(value) for name, value in named.items()}
        status, statuses = written.get("status"), get_args(Status)
        if status is not None and status not in statuses:
            raise SettingsError(f"{status!r} is not a status of a call", f"choose from {', '.join(statuses)}")
        return cls(**written)

    def given(self) -> Iterator[tuple[str, str]]:
        """Return the filters that are set, by name."""
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None:
                yield each.name, value

    def columns(self) -> set[str]:
        """Return the columns that the filters look at, but for the tags."""
        return {column for name, _ in self.given() if name != "tag" for column in COLUMNS[name]}

    def conditions(self) -> tuple[list[str], list[str]]:
        """Return conditions in SQL, for events and for hourly sums, and their parameters; a tag is not in them."""
        conditions, parameters = [], []
        for name, value in self.given():
            if name == "tag":
                continue
            # Who has neither is without, who has one of them is not.
            either = " OR " if value else " AND "
            conditions.append(
                f"({either.join(f'coalesce({_quoted(column)}, {_NOTHING}) = ?' for column in COLUMNS[name])})"
            )
            parameters += [value] * len(COLUMNS[name])
        return conditions, parameters

    def has_tag(self, column: str | None) -> bool:
        """Return whether the column `tags` holds the tag."""
        return self.tag is None or self.tag in tags_of(column)

    def matches(self, event: Event) -> bool:
        """Return whether an event has it all."""
        return all(
            value in (event.tags or ("",)) if name == "tag" else _holds(event, COLUMNS[name], value)
            for name, value in self.given()
        )

    def chosen(self, events: Iterable[Event]) -> Iterator[Event]:
        """Return the events that have it all."""
        return filter(self.matches, events) if any(self.given()) else iter(events)


EVERYTHING = Filters()
_AS_RECORDED: dict[str, Callable[[str], str]] = {
    "model": lambda written: written.strip().removeprefix("maas/"),
    "host": lambda written: host_of(written if "://" in written else f"//{written}") or written,
}
"""By filter, a value as the ledger has it. Names that are very long are cut; see `sanitize_text`."""
_NOTHING = "''"


def _quoted(column: str) -> str:
    return f'"{column}"'  # `user` means something else to PostgreSQL


def _holds(event: Event, columns: Iterable[str], value: str) -> bool:
    found = [(getattr(event, column) or "") == value for column in columns]
    return any(found) if value else all(found)


def tags_of(column: str | None) -> list[Any]:
    """Return the tags in a column; an empty text where there are none."""
    tags: list[Any] = json.loads(column) if column else [""]
    return tags
