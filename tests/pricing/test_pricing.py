"""What a usage costs, compared with a second computation that shares only the published formula with the first."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from litellm_maas import _litellm_compat
from litellm_maas.pricing import price_book
from litellm_maas.pricing.cost import Cost, cost
from litellm_maas.pricing.credits import format_credits, to_credits
from litellm_maas.pricing.usage import LARGEST_COUNT, Usage, to_litellm_usage

# The vendor's table as it is printed, with the ids that are known: input, output, cache now; the same before.
TABLE = """
openai/gpt-4o           70,888 283,550 35,444   96,005 384,020 48,003
openai/gpt-4o-mini       4,253  17,013  2,127    5,760  23,041  2,880
openai/gpt-5            35,444 283,550  3,544   48,003 384,020  4,800
openai/gpt-5-mini        7,089  56,710    709    9,601  76,804  1,152
openai/gpt-5-nano        1,418  11,342    142    1,920  15,361    384
openai/gpt-oss-20b       1,985   4,253   none    1,920   7,680   none
openai/gpt-oss-120b      4,253  17,013   none   13,441  28,802   none
z-ai/glm-5.2            39,697 124,762  5,387        none       none      none
kimi/kimi-k2.6          26,937 113,420  4,537   36,482 153,608  6,144
google/gemma-4-31b-it    5,671  14,178  2,552    7,680  19,201  3,456
qwen/qwen3.7-plus       11,342  45,368  2,268   15,361  61,443  3,072
qwen/qwen3.6-plus       14,178  85,065 17,722        none       none      none
qwen/qwen3.6-flash       7,089  42,533    532        none       none      none
minimax/minimax-m3       8,506  34,026  1,701        none       none      none
minimax/minimax-m2.5     8,506  34,026    851   11,521  46,082  1,152
qwen/qwen3-embedding-8b  1,134    none   none    1,920    none   none
"""
HANOI = dt.timezone(dt.timedelta(hours=7))
CHANGE = dt.datetime(2026, 8, 3, tzinfo=HANOI)
NOW = CHANGE + dt.timedelta(days=90)
BEFORE = CHANGE - dt.timedelta(days=90)


def printed_prices() -> dict[tuple[str, dt.datetime], tuple[int | None, int | None, int | None]]:
    """The table: input, output and cache price by id and by a moment at which they hold."""
    prices: dict[tuple[str, dt.datetime], tuple[int | None, int | None, int | None]] = {}
    for line in TABLE.strip().splitlines():
        model, *cells = line.split()
        numbers = [None if cell == "none" else int(cell.replace(",", "")) for cell in cells]
        for moment, (plain, output, cached) in ((NOW, numbers[:3]), (BEFORE, numbers[3:])):
            if plain is not None:
                prices[model, moment] = (plain, output, cached)
    return prices


PRINTED = printed_prices()


def due(
    price: tuple[int | None, int | None, int | None], read: int, cached: int, written: int
) -> tuple[Fraction | None, Fraction]:
    """What the documented formula says, in credits, and what the cache saved; None for tokens that have no price."""
    plain, output, cache = price
    cache = plain if cache is None else cache
    assert plain is not None
    assert cache is not None
    saved = Fraction(cached * (plain - cache), 1_000_000)
    if written and output is None:
        return None, saved
    return Fraction((read - cached) * plain + cached * cache + written * (output or 0), 1_000_000), saved


def priced(model: str, usage: Usage, at: dt.datetime = NOW, prices: price_book.PriceBook | None = None) -> Cost:
    """What a pay-as-you-go call costs."""
    return cost(model, usage, at, "payg", prices or price_book.official_prices())


def reported(read: Any, written: Any, cached: Any = 0) -> Usage:
    """A usage as the gateway reports it."""
    raw = {"prompt_tokens": read, "completion_tokens": written, "prompt_tokens_details": {"cached_tokens": cached}}
    return Usage.from_response(raw)


def own(text: str, tmp_path: Path, dollar_price: price_book.DollarPrice | None = None) -> price_book.PriceBook:
    """The official prices with a user's own file over them."""
    file = tmp_path / "prices.yaml"
    file.write_text(f"format: 1\n{text}", encoding="utf-8")
    return price_book.with_overrides(file, dollar_price)


def test_ten_thousand_random_usages() -> None:
    """10,000 random usages by every price of both lists cost to the micro-credit what the formula says exactly."""
    pick = random.Random(20260803)
    sizes = (1, 10, 1_000, 30_000, 1_000_000, LARGEST_COUNT)
    for _ in range(10_000):
        read, written = (pick.randint(0, pick.choice(sizes)) for _ in range(2))
        cached = pick.choice((0, read, pick.randint(0, read)))
        usage = reported(read, written, cached)
        for (model, moment), price in PRINTED.items():
            found, (total, saved) = priced(model, usage, moment), due(price, read, cached, written)
            if total is None:
                assert (found.micro_credits, found.basis) == (None, "unpriced")
                continue
            assert Fraction(found.micro_credits or 0, 1_000_000) == total
            assert found.credits == to_credits(found.micro_credits or 0)
            assert Fraction(found.saved_micro_credits, 1_000_000) == saved
            assert found.basis == "official"


def test_the_price_file_holds_the_printed_table_and_nothing_else() -> None:
    """Every printed price with a known id is in the shipped lists, and no other id is."""
    shipped = {}
    for _, price_list in price_book.official_prices().lists():
        moment = NOW if price_list.first_day else BEFORE
        for model, entry in price_list.models.items():
            shipped[model, moment] = (entry.input, entry.output, entry.cached)
    assert shipped == PRINTED


def test_names_without_an_id_are_listed_and_price_nothing() -> None:
    """The vendor's names for which no id is known stand in the file, and no model is priced by them."""
    newest, before = (price_list for _, price_list in price_book.official_prices().lists())
    assert [entry.name for entry in newest.unidentified] == [
        "GPT-5.4", "GPT-5.4 Mini", "GPT-5.4 Nano", "Opus 4.8", "Sonnet 4.6", "Haiku 4.5", "Kimi K2.7 Code",
        "Cohere Embed v4", "Cohere Rerank v4.0 pro", "gpt-image-2",
    ]  # fmt: skip
    assert [entry.name for entry in before.unidentified] == ["Sonnet 4.6", "gpt-image-2"]
    for name in ("gpt-image-2", "openai/gpt-image-2", "gemini/gemini-2.5-flash", "qwen/qwen3-27b", "gpt-4o"):
        assert priced(name, reported(1000, 1000)).basis == "unpriced"


@pytest.mark.parametrize(
    ("moment", "price"),
    [
        (CHANGE - dt.timedelta(microseconds=1), 96_005),
        (CHANGE, 70_888),
        (dt.datetime(2026, 8, 2, 16, 59, 59, 999_999, tzinfo=dt.timezone.utc), 96_005),
        (dt.datetime(2026, 8, 2, 17, tzinfo=dt.timezone.utc), 70_888),
        (dt.datetime(2026, 8, 3, 1, 59, 59, tzinfo=dt.timezone(dt.timedelta(hours=9))), 96_005),
        (dt.datetime(2026, 8, 2, 10, tzinfo=dt.timezone(dt.timedelta(hours=-7))), 70_888),
        (dt.datetime(1971, 1, 1, tzinfo=dt.timezone.utc), 96_005),
        (dt.datetime(2199, 1, 1, tzinfo=dt.timezone.utc), 70_888),
    ],
)
def test_the_list_changes_at_midnight_in_vietnam(moment: dt.datetime, price: int) -> None:
    """A call is priced by the list of the day on which it began, where the vendor is, wherever the caller is."""
    assert priced("openai/gpt-4o", reported(1, 0), moment).micro_credits == price


@pytest.mark.parametrize(
    ("raw", "counts", "anomaly", "known"),
    [
        (None, (0, 0, 0), None, True),
        ({}, (0, 0, 0), None, True),
        ({"prompt_tokens": 12.0, "completion_tokens": 3}, (12, 0, 3), None, True),
        ({"prompt_tokens": None, "completion_tokens": 3}, (0, 0, 3), None, True),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}, (9, 4, 0), None, True),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, (9, 0, 0), None, True),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 99}}, (9, 9, 0), "99 cached of 9", False),
        ({"completion_tokens": 5, "reasoning_tokens": 6}, (0, 0, 5), "6 reasoning of 5", False),
        ({"completion_tokens": 5, "reasoning_tokens": 6, "total_tokens": 5}, (0, 0, 5), None, True),
        ({"prompt_tokens": 9, "prompt_tokens_details": 5}, (9, 0, 0), "prompt_tokens_details is a int", False),
        ({"prompt_tokens": -1, "completion_tokens": 3}, (0, 0, 3), "prompt_tokens is -1", False),
        ({"prompt_tokens": 9, "completion_tokens": -3}, (9, 0, 0), "completion_tokens is -3", False),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": -9}}, (9, 0, 0), "cached_tokens is -9", False),
        ({"prompt_tokens": 10**9 + 1}, (0, 0, 0), "prompt_tokens is 1000000001", False),
        ({"prompt_tokens": 10**400}, (0, 0, 0), "prompt_tokens is absurdly large", False),
        ({"prompt_tokens": 1e300}, (0, 0, 0), "prompt_tokens is absurdly large", False),
        ({"prompt_tokens": math.nan}, (0, 0, 0), "prompt_tokens is nan", False),
        ({"prompt_tokens": math.inf}, (0, 0, 0), "prompt_tokens is inf", False),
        ({"prompt_tokens": 1.5}, (0, 0, 0), "prompt_tokens is 1.5", False),
        ({"prompt_tokens": True}, (0, 0, 0), "prompt_tokens is True", False),
        ({"prompt_tokens": "100"}, (0, 0, 0), "prompt_tokens is a str", False),
        ({"prompt_tokens": [100]}, (0, 0, 0), "prompt_tokens is a list", False),
        ([100, 3], (0, 0, 0), "usage is a list", False),
        ("100", (0, 0, 0), "usage is a str", False),
        (7, (0, 0, 0), "usage is a int", False),
    ],
)  # fmt: skip
def test_nonsense_usage_is_an_anomaly_and_never_a_wrong_charge(
    raw: Any, counts: tuple[int, int, int], anomaly: str | None, known: bool
) -> None:
    """A count that cannot be one, and a part larger than its whole, makes the cost unknown, unless the total tells."""
    usage = Usage.from_response(raw)
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == counts
    found = priced("openai/gpt-4o", usage)
    if anomaly is None:
        assert not usage.anomalies
    else:
        (text,) = usage.anomalies
        assert text.startswith(anomaly)
    if known:
        assert Fraction(found.micro_credits or 0, 1_000_000) == due(PRINTED["openai/gpt-4o", NOW], *counts)[0]
    else:
        assert (found.micro_credits, found.basis, found.saved_micro_credits) == (None, "unpriced", 0)


def test_what_the_gateway_wrote_does_not_get_into_an_anomaly() -> None:
    """A text in the place of a count could be anybody's words, so that it is not repeated."""
    usage = Usage.from_response({"prompt_tokens": "my secret prompt", "completion_tokens": ["it", "too"]})
    assert usage.anomalies == (
        "prompt_tokens is a str, not a whole number",
        "completion_tokens is a list, not a whole number",
    )


@pytest.mark.parametrize("seed", range(20))
def test_random_nonsense_is_never_negative_and_never_raises(seed: int) -> None:
    """Whatever stands in a usage object, its cost is unknown or what its cleaned counts cost, and never negative."""
    pick = random.Random(seed)
    values: list[Callable[[], Any]] = [
        lambda: pick.randint(-5, 5),
        lambda: pick.randint(0, 10**12),
        lambda: pick.random() * 1e6,
        lambda: float(pick.randint(0, 1000)),
        lambda: pick.choice([None, True, False, "", "7", math.nan, -math.inf, {}, [], {"cached_tokens": 3}, b"7"]),
    ]
    for _ in range(500):
        raw = {
            name: pick.choice(values)()
            for name in ("prompt_tokens", "completion_tokens", "prompt_cache_hit_tokens", "reasoning_tokens")
            if pick.random() < 0.8
        }
        raw["prompt_tokens_details"] = pick.choice(
            [None, {"cached_tokens": pick.choice(values)()}, pick.choice(values)()]
        )
        usage = Usage.from_response(raw)
        assert 0 <= usage.cached_tokens <= usage.input_tokens <= LARGEST_COUNT
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens <= LARGEST_COUNT
        to_litellm_usage(raw)
        found = priced("openai/gpt-4o", usage)
        if found.micro_credits is None:
            assert usage.anomalies
        else:
            counts = (usage.input_tokens, usage.cached_tokens, usage.output_tokens)
            assert found.micro_credits >= 0
            assert Fraction(found.micro_credits, 1_000_000) == due(PRINTED["openai/gpt-4o", NOW], *counts)[0]


def test_without_a_cache_price_cached_tokens_cost_the_input_price() -> None:
    """A model that lists no cache price charges cached tokens as input, and the source of the price says so."""
    found = priced("openai/gpt-oss-20b", reported(100, 0, 40))
    assert (found.micro_credits, found.saved_micro_credits) == (100 * 1_985, 0)
    assert "no cache price is listed: cached tokens cost the input price" in str(found.price_source)
    assert "no cache price" not in str(priced("openai/gpt-oss-20b", reported(100, 0)).price_source)
    assert "no cache price" not in str(priced("openai/gpt-4o", reported(100, 0, 40)).price_source)


def test_a_cache_price_above_the_input_price_stays_as_printed() -> None:
    """Qwen 3.6 Plus prints a cache price above its input price: cached tokens cost more, and the saving is negative."""
    found = priced("qwen/qwen3.6-plus", reported(100, 0, 100))
    assert (found.micro_credits, found.saved_micro_credits) == (100 * 17_722, 100 * (14_178 - 17_722))


def test_images(tmp_path: Path) -> None:
    """Images cost their number times the price of their size and quality; any other size or quality has no price."""
    prices = own(
        """
lists:
  - name: images
    from: null
    to: null
    source: the vendor's list under an id of our own
    models:
      acme/image: {images: {1024x1024: {high: 5983, low: 170.5}}}
      acme/both: {input: 10, images: {1024x1024: {high: 1}}}
""",
        tmp_path,
    )
    high = Usage(images=3, image_size="1024x1024", image_quality="high", source="reported")
    assert priced("acme/image", high, prices=prices).micro_credits == 3 * 5_983_000_000
    low = Usage(images=2, image_size="1024x1024", image_quality="low", source="reported")
    assert priced("acme/image", low, prices=prices).micro_credits == 341_000_000
    for size, quality in (("1024x1024", "medium"), ("1x1", "high"), (None, "high"), ("1024x1024", None)):
        unlisted = Usage(images=1, image_size=size, image_quality=quality, source="reported")
        assert priced("acme/image", unlisted, prices=prices).basis == "unpriced"
    with_tokens = Usage(input_tokens=5, images=1, image_size="1024x1024", image_quality="high", source="reported")
    assert priced("acme/both", with_tokens, prices=prices).micro_credits == 1_000_050
    assert priced("acme/image", with_tokens, prices=prices).basis == "unpriced"
    assert priced("openai/gpt-4o", high).basis == "unpriced"
    assert priced("acme/image", Usage(source="reported"), prices=prices).micro_credits == 0


OWN = """
lists:
  - name: contract 7
    from: 2026-09-01
    to: 2026-10-01
    source: our contract
    models:
      openai/gpt-4o: {input: 50000, cached: 10000, output: 200000}
      acme/private: {input: 1134.25, output: 0.000001}
"""


def test_the_users_own_prices_win_for_their_models_and_days(tmp_path: Path) -> None:
    """A user's price holds for its model from its first day until its last, and the official one otherwise."""
    prices = own(OWN, tmp_path)
    usage = reported(10, 10, 5)
    for at, basis, micro_credits in (
        (dt.datetime(2026, 8, 31, 23, 59, 59, 999_999, HANOI), "official", 5 * 70_888 + 5 * 35_444 + 10 * 283_550),
        (dt.datetime(2026, 9, 1, tzinfo=HANOI), "custom", 5 * 50_000 + 5 * 10_000 + 10 * 200_000),
        (dt.datetime(2026, 9, 30, 23, 59, 59, 999_999, HANOI), "custom", 5 * 50_000 + 5 * 10_000 + 10 * 200_000),
        (dt.datetime(2026, 10, 1, tzinfo=HANOI), "official", 5 * 70_888 + 5 * 35_444 + 10 * 283_550),
        (dt.datetime(2026, 8, 2, tzinfo=HANOI), "official", 5 * 96_005 + 5 * 48_003 + 10 * 384_020),
    ):
        found = priced("openai/gpt-4o", usage, at, prices)
        assert (found.basis, found.micro_credits) == (basis, micro_credits)
        assert ("contract 7 (our contract)" in str(found.price_source)) == (basis == "custom")
    assert priced("openai/gpt-4o-mini", usage, dt.datetime(2026, 9, 9, tzinfo=HANOI), prices).basis == "official"
    assert priced("acme/private", usage, dt.datetime(2026, 10, 1, tzinfo=HANOI), prices).basis == "unpriced"


@pytest.mark.parametrize(
    ("read", "written", "micro_credits"),
    [
        (1, 0, 1_134),  # 1134.25
        (2, 0, 2_268),  # 2268.5: half to even
        (6, 0, 6_806),  # 6805.5: half to even
        (4, 0, 4_537),  # exact
        (4, 499_999, 4_537),  # 4537.499999
        (4, 500_001, 4_538),  # 4537.500001
    ],
)
def test_fractional_contract_prices_are_rounded_once(
    tmp_path: Path, read: int, written: int, micro_credits: int
) -> None:
    """A price with decimals is multiplied exactly and rounded to a whole micro-credit in the end, half to even."""
    september = dt.datetime(2026, 9, 9, tzinfo=HANOI)
    found = priced("acme/private", reported(read, written), september, own(OWN, tmp_path))
    assert found.micro_credits == micro_credits
    assert found.micro_credits == round(Fraction("1134.25") * read + Fraction(1, 1_000_000) * written)


def test_the_callers_own_decimal_context_changes_no_charge(tmp_path: Path) -> None:
    """An application that works with few decimal digits, or traps rounding, is charged the same."""
    prices = own(OWN, tmp_path)
    usage, september = reported(123_456_789, 987_654_321, 100_000_001), dt.datetime(2026, 9, 9, tzinfo=HANOI)
    expected = [priced(model, usage, september, prices) for model in ("openai/gpt-4o", "acme/private")]
    with decimal.localcontext() as context:
        context.prec = 3
        context.rounding = decimal.ROUND_UP
        context.traps[decimal.Inexact] = True
        found = [priced(model, usage, september, prices) for model in ("openai/gpt-4o", "acme/private")]
        assert found == expected
        assert found[0].credits == Decimal(found[0].micro_credits or 0).scaleb(-6, decimal.Context(prec=40))
        assert format_credits(1_234_567_190_123) == "1,234,567 VND"
    whole = Fraction(expected[0].micro_credits or 0, 1_000_000)
    assert whole == due((50_000, 200_000, 10_000), 123_456_789, 100_000_001, 987_654_321)[0]


def test_the_largest_call_at_the_highest_price_fits_a_ledger(tmp_path: Path) -> None:
    """The largest call that is believed, at the highest price that a file may state, costs what 64 bits can hold."""
    highest = "{input: 1000000000, output: 1000000000}"
    prices = own(f"lists: [{{name: a, from: null, to: null, source: b, models: {{a/b: {highest}}}}}]", tmp_path)
    found = priced("a/b", reported(LARGEST_COUNT, LARGEST_COUNT), prices=prices)
    assert found.micro_credits == 2 * 10**18 < 2**63


def dollars(model: str) -> tuple[Decimal, Decimal | None, Decimal] | None:
    """A dollar price list with two models."""
    known: dict[str, tuple[Decimal, Decimal | None, Decimal]] = {
        "gemini/gemini-2.5-flash": (Decimal("3e-7"), Decimal("3e-8"), Decimal("2.5e-6")),
        "openai/gpt-4o": (Decimal(1), None, Decimal(1)),
    }
    return known.get(model)


def test_an_estimate_is_made_only_when_asked_for_and_is_called_one(tmp_path: Path) -> None:
    """LiteLLM's dollar price stands in for a missing one only at a rate that the user states, as an estimate."""
    usage = reported(1_000_000, 1_000_000, 500_000)
    for prices in (price_book.official_prices(), own(OWN, tmp_path, dollars)):
        assert priced("gemini/gemini-2.5-flash", usage, prices=prices).basis == "unpriced"
    prices = own("estimate: {vnd_per_usd: 26000.5}", tmp_path, dollars)
    found = priced("gemini/gemini-2.5-flash", usage, prices=prices)
    # Half a million tokens at 0.3 dollars a million, half a million at 0.03, a million at 2.5.
    assert Fraction(found.micro_credits or 0, 1_000_000) == Fraction("2.665") * Fraction("26000.5")
    assert found.basis == "estimate"
    assert found.price_source == "LiteLLM's dollar price at 26000.5 VND"
    assert priced("openai/gpt-4o", usage, prices=prices).basis == "official"
    assert priced("acme/unheard-of", usage, prices=prices).basis == "unpriced"


def test_the_estimate_knows_litellms_prices(tmp_path: Path) -> None:
    """With LiteLLM's own map, Gemini 2.5 Flash is estimated, by its full name and without a gateway's prefix."""
    prices = own("estimate: {vnd_per_usd: 25000}", tmp_path, _litellm_compat.dollar_price)
    for name in ("gemini/gemini-2.5-flash", "somebody/gemini-2.5-flash"):
        found = priced(name, reported(1_000_000, 0), prices=prices)
        assert found.basis == "estimate"
        assert found.micro_credits == 7_500 * 1_000_000
    assert priced("acme/unheard-of", reported(1, 1), prices=prices).basis == "unpriced"


def test_a_plan_call_costs_no_credits() -> None:
    """On the Token Plan host a call costs nothing by any price, and its tokens are kept."""
    usage = reported(100, 10)
    found = cost("glm-5.2", usage, NOW, "plan", price_book.official_prices())
    assert (found.micro_credits, found.basis, found.usage) == (0, "plan", usage)


@pytest.mark.parametrize(
    ("micro_credits", "plain", "vietnamese"),
    [
        (None, "-", "-"),
        (0, "0 VND", "0 ₫"),
        (1, "0.000001 VND", "0,000001 ₫"),
        (70_888, "0.070888 VND", "0,070888 ₫"),
        (500_000, "0.5 VND", "0,5 ₫"),
        (999_999, "0.999999 VND", "0,999999 ₫"),
        (1_000_000, "1 VND", "1 ₫"),
        (1_234_567, "1.23 VND", "1,23 ₫"),
        (99_000_000, "99 VND", "99 ₫"),
        (99_994_999, "99.99 VND", "99,99 ₫"),
        (99_999_999, "100.00 VND", "100,00 ₫"),
        (100_400_000, "100 VND", "100 ₫"),
        (1_234_567_000_000, "1,234,567 VND", "1.234.567 ₫"),
        (-1_234_567_800_000, "-1,234,568 VND", "-1.234.568 ₫"),
        (-70_888, "-0.070888 VND", "-0,070888 ₫"),
        (9_223_372_036_854_775_807, "9,223,372,036,855 VND", "9.223.372.036.855 ₫"),
    ],
)
def test_amounts_as_people_write_them(micro_credits: int | None, plain: str, vietnamese: str) -> None:
    """Amounts have thousands separators in the reader's way, and a small one is not shown as nothing."""
    assert format_credits(micro_credits) == plain
    assert format_credits(micro_credits, vietnamese=True) == vietnamese


@pytest.mark.parametrize(
    ("micro_credits", "plain", "exact"),
    [
        (100_500_000, "101 VND", "100.50 VND"),
        (101_500_000, "102 VND", "101.50 VND"),
        (-100_500_000, "-101 VND", "-100.50 VND"),
        (2_985_000, "2.99 VND", "2.985 VND"),
        (2_975_000, "2.98 VND", "2.975 VND"),
        (1_234_567_000_001, "1,234,567 VND", "1,234,567.000001 VND"),
        (200_000_000, "200 VND", "200 VND"),
        (70_888, "0.070888 VND", "0.070888 VND"),
    ],
)
def test_half_is_rounded_up_and_a_limit_not_at_all(micro_credits: int, plain: str, exact: str) -> None:
    """Half a credit is rounded up as people do it, and where an amount has to be exact every decimal is shown."""
    assert format_credits(micro_credits) == plain
    assert format_credits(micro_credits, exact=True) == exact
