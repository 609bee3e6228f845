"""Periods as people name them."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest

from litellm_maas.errors import SettingsError
from litellm_maas.ledger import periods
from litellm_maas.ledger.periods import Period

HCM = periods.zone("Asia/Ho_Chi_Minh")
NOW = dt.datetime(2026, 11, 22, 18, 37, 5, tzinfo=HCM)  # a Sunday


def at(text: str) -> dt.datetime:
    """A moment in Vietnam."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=HCM)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-10-31", "2026-10-31", "2026-11-01"),
        ("2026-2-1", "2026-02-01", "2026-02-02"),
        ("2024-02-29", "2024-02-29", "2024-03-01"),
        ("2026-12-31", "2026-12-31", "2027-01-01"),
        ("2026-10", "2026-10-01", "2026-11-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2024-2", "2024-02-01", "2024-03-01"),
        (" today ", "2026-11-22", "2026-11-23"),
        ("Yesterday", "2026-11-21", "2026-11-22"),
        ("this week", "2026-11-16", "2026-11-23"),
        ("last week", "2026-11-09", "2026-11-16"),
        ("this month", "2026-11-01", "2026-12-01"),
        ("last-month", "2026-10-01", "2026-11-01"),
        ("last_month", "2026-10-01", "2026-11-01"),
        ("2026-11-01T15:30", "2026-11-01T15:30", "2026-11-01T15:30"),
        ("2026-11-01 15:30:05", "2026-11-01T15:30:05", "2026-11-01T15:30:05"),
        ("2026-11-01T08:30Z", "2026-11-01T15:30", "2026-11-01T15:30"),
        ("2h", "2026-11-22T16:37:05", "2026-11-22T16:37:05"),
        ("7d", "2026-11-15T18:37:05", "2026-11-15T18:37:05"),
    ],
)
def test_a_period_by_its_name(text: str, since: str, until: str) -> None:
    """A day, a week and a month are from beginning to end; a time is a moment."""
    assert periods.span(text, NOW) == Period(at(since), at(until))
    assert periods.moment(text, NOW) == at(since)


@pytest.mark.parametrize(
    "text",
    ["soon", "", "2026", "2026-13", "2026-00", "2026-02-30", "20261031", "2026-W45", "2026-W45-1", "31/10/2026", "10/2026",
     "next month", "last year", "1969-12", "9999-12-31", "9999-12", "99999999999d", "2026-10-31T25:00"],
)  # fmt: skip
def test_what_is_no_period(text: str) -> None:
    """What cannot be understood, or only by some Pythons, is an error that lists what can be written."""
    with pytest.raises(
        SettingsError, match=r"is not a time; write a day .* yesterday, this week, last week, this month"
    ):
        periods.span(text, NOW)


@pytest.mark.parametrize(("text", "first"), [("2026-10", "2026-10-01"), ("last", "2026-10-01"), ("this", "2026-11-01"), ("last month", "2026-10-01")])  # fmt: skip
def test_a_month(text: str, first: str) -> None:
    """A month is named by its number, or by how long it is over."""
    assert periods.month(text, NOW).since == at(first)


@pytest.mark.parametrize("text", ["2026-10-01", "7d", "today", "last week", "october", "10"])
def test_what_is_no_month(text: str) -> None:
    """A day is no month."""
    with pytest.raises(SettingsError, match=r"is not a month; write it like 2026-10, or this, or last"):
        periods.month(text, NOW)


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        ("2026-10-01", "2026-11-01", "2026-10-01 … 2026-10-31 (31 days)"),
        ("2026-10-31", "2026-11-01", "2026-10-31 (1 day)"),
        ("2026-11-01", "2026-12-01", "2026-11-01 … 2026-11-22 (22 days so far)"),
        ("2026-11-22", "2026-11-23", "2026-11-22 (1 day so far)"),
        ("2026-11-01", None, "2026-11-01 … 2026-11-22 (22 days so far)"),
        (None, "2026-11-01", "the beginning … 2026-10-31"),
        (None, None, "the beginning … 2026-11-22 so far"),
        ("2023-11-23", "2026-11-22", "2023-11-23 … 2026-11-21 (1,095 days)"),
        ("2026-11-01T15:30", "2026-11-02", "2026-11-01 15:30 … 2026-11-02 00:00"),
        ("2026-11-01T15:30", None, "2026-11-01 15:30 … now"),
        (None, "2026-11-01T15:30", "the beginning … 2026-11-01 15:30"),
    ],
)
def test_a_period_in_words(since: str | None, until: str | None, words: str) -> None:
    """Whole days are shown with their last one included; anything finer as two moments."""
    assert periods.in_words(Period(since and at(since), until and at(until)), NOW) == words  # type: ignore[arg-type]


def test_days_of_a_zone_on_which_clocks_change() -> None:
    """A month in which clocks change has all its days."""
    now = NOW.astimezone(zoneinfo.ZoneInfo("Europe/Paris"))
    month = periods.month("2026-10", now)
    assert periods.in_words(month, now) == "2026-10-01 … 2026-10-31 (31 days)"
    assert month.since is not None
    assert month.until is not None
    assert month.until.astimezone(dt.timezone.utc) - month.since.astimezone(dt.timezone.utc) == dt.timedelta(
        days=31, hours=1
    )


def test_an_hour_that_comes_twice() -> None:
    """Where clocks go back, an hour is an hour long, and a moment of it is shown with its distance from UTC."""
    paris = zoneinfo.ZoneInfo("Europe/Paris")
    first = dt.datetime(2026, 10, 25, 2, 15, tzinfo=paris)
    hours = [periods.around("hour", each) for each in (first - dt.timedelta(hours=1), first, first.replace(fold=1))]
    ends = [each.astimezone(dt.timezone.utc).hour for hour in hours for each in (hour.since, hour.until) if each]
    assert ends == [23, 0, 0, 1, 1, 2]
    shown = [periods.clock(each) for hour in hours for each in (hour.since, hour.until) if each]
    assert shown == [
        *("2026-10-25 01:00", "2026-10-25 02:00 +02:00", "2026-10-25 02:00 +02:00"),
        *("2026-10-25 02:00 +01:00", "2026-10-25 02:00 +01:00", "2026-10-25 03:00"),
    ]
