"""What calls cost: for the caller who holds the response, and where the price is special or missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litellm
import pytest

import litellm_maas
from litellm_maas import settings
from litellm_maas.budgets.budget import Budget
from litellm_maas.gateway import endpoint
from litellm_maas.pricing.usage import Usage
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Answer, Choice, Sandbox
from tests.call_modes import CALL, CHAT, EACH_WAY, WAYS, by_address, in_a_loop, recorded
from tests.helpers import MESSAGES, until
from tests.ledger_files import rows


@pytest.mark.parametrize("way_name", WAYS)
def test_cost_of(sandbox: Sandbox, ledger_path: Path, way_name: str) -> None:
    """`cost_of` gives the exact cost of a response, of a stream's last chunk and of what is built from its chunks."""
    call = {**CALL, "stream_options": {"include_usage": True}} if "stream" in way_name else CALL
    found = WAYS[way_name](**call)
    candidates = (
        [found] if "stream" not in way_name else [found[-1], litellm.stream_chunk_builder(found), found[-1].usage]
    )
    for candidate in candidates:
        cost = litellm_maas.cost_of(candidate)
        assert cost is not None
        assert (cost.micro_credits, cost.basis) == (sandbox.bill.micro_credits, "official")
        assert cost.usage.output_tokens == sandbox.bill.charges[0].output_tokens
        assert cost.credits is not None
        assert cost.credits * 1_000_000 == sandbox.bill.micro_credits
    if "stream" not in way_name:
        noted = found._hidden_params["maas_cost"]
        assert (noted["micro_credits"], noted["basis"]) == (sandbox.bill.micro_credits, "official")
        assert (noted["usage_source"], noted["anomalies"]) == ("reported", ())


def test_cost_of_what_was_stored(sandbox: Sandbox, ledger_path: Path) -> None:
    """A stream's usage carries the cost, so that it is known where the response is not remembered any more."""
    chunks = WAYS["stream"](stream_options={"include_usage": True}, **CALL)
    stored = chunks[-1].model_dump()
    runtime.tracker._costs.clear()  # noqa: SLF001 - as after ten thousand other calls, or in another process
    for candidate in (chunks[-1], chunks[-1].usage, stored, stored["usage"]):
        cost = litellm_maas.cost_of(candidate)
        assert cost is not None
        assert (cost.micro_credits, cost.usage.output_tokens) == (sandbox.bill.micro_credits, 8)


@pytest.mark.parametrize("thing", [None, "text", 5, {}, {"usage": None}, object(), litellm.ModelResponse(), Usage()])
def test_cost_of_anything_else_is_none(thing: object) -> None:
    """What is no answer of the gateway has no cost, and asking for it raises nothing."""
    assert litellm_maas.cost_of(thing) is None


def test_costs_are_remembered_up_to_a_limit(sandbox: Sandbox) -> None:
    """The costs of the latest ten thousand responses are kept, not those of all."""
    first = litellm.completion(**CALL)
    cost = litellm_maas.cost_of(first)
    assert cost is not None
    for number in range(10_000):
        runtime.tracker.cache_cost(f"r{number}", cost)
    assert runtime.tracker.cached_cost(first.id) is None
    assert litellm_maas.cost_of(first) is not None  # it stands on the response too


@EACH_WAY
def test_a_token_plan_call(sandbox: Sandbox, ledger_path: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[..., Any]) -> None:  # fmt: skip  # noqa: E501
    """On the Token Plan host a call keeps its tokens and costs no credits, by the provider and by address."""
    # The sandbox stands in for that host: the address is what tells it apart.
    monkeypatch.setattr(settings, "PLAN_BASE_URL", sandbox.url)
    monkeypatch.delenv("MAAS_API_BASE")
    endpoint.parse_base_url.cache_clear()
    try:
        response = way(api_base=sandbox.url, **CALL)
        litellm.callbacks = [litellm_maas.spend_logger]
        litellm.completion(**by_address(sandbox))
        until(lambda: len(recorded(ledger_path)) == 2)
    finally:
        endpoint.parse_base_url.cache_clear()
    for event in rows(ledger_path):
        assert (event.micro_credits, event.basis, event.usage_source) == (0, "plan", "reported")
        assert event.output_tokens == sandbox.bill.charges[0].output_tokens
    cost = litellm_maas.cost_of(response[-1] if isinstance(response, list) else response)
    assert cost is not None
    assert (cost.micro_credits, cost.basis) == (0, "plan")


@EACH_WAY
def test_an_unpriced_model(sandbox: Sandbox, ledger_path: Path, way: Callable[..., Any]) -> None:
    """A model without a price keeps its tokens; its cost is unknown, which is not 0."""
    response = way(model="maas/gemini/gemini-2.5-flash", messages=MESSAGES)
    (event,) = rows(ledger_path)
    assert (event.micro_credits, event.basis, event.status) == (None, "unpriced", "ok")
    assert event.output_tokens == sandbox.bill.charges[0].output_tokens
    cost = litellm_maas.cost_of(response[-1] if isinstance(response, list) else response)
    assert cost is not None
    assert (cost.credits, cost.basis) == (None, "unpriced")


@EACH_WAY
def test_nonsense_usage_is_an_anomaly(sandbox: Sandbox, ledger_path: Path, way: Callable[..., Any]) -> None:
    """A reply whose usage cannot be true is delivered, and its row says what was wrong and claims no cost."""
    sandbox.script(
        Answer((Choice("xong"),), usage={"prompt_tokens": -5, "completion_tokens": 1}),
        Answer((Choice("xong"),), usage={"prompt_tokens": 5, "completion_tokens": "many"}),
        Answer((Choice("xong"),), usage={"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}),
    )
    for _ in range(3):
        way(**CALL)
    negative, words, too_many = rows(ledger_path)
    assert (negative.micro_credits, negative.basis, len(negative.anomalies)) == (None, "unpriced", 1)
    assert (words.micro_credits, words.anomalies) == (None, ("completion_tokens is a str, not a whole number",))
    assert (too_many.cached_tokens, too_many.micro_credits) == (5, None)
    assert too_many.anomalies == ("9 cached of 5 input tokens",)


def test_a_mistake_in_the_price_file(
    sandbox: Sandbox,
    ledger_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A broken price file breaks no call: it is said once, and calls are unpriced until there is a sound one."""
    prices = tmp_path / "prices.yaml"
    monkeypatch.setenv("MAAS_PRICES", str(prices))
    broken = ["lists: [", "format: 1\nlists: [{name: a, from: 2026-02-30}]", "format: 1\nlists: [{naem: a}]"]
    for text in broken:
        prices.write_text(text)
        for _ in range(2):
            litellm.completion(**CALL)
    prices.write_text("format: 1\n")
    litellm.completion(**CALL)
    prices.unlink()
    litellm.completion(**CALL)
    said = [record.getMessage() for record in caplog.records if record.name == "litellm_maas"]
    assert len(said) == 4
    assert all(line.startswith("MAAS_PRICES: ") for line in said)
    assert all("without a price until it is fixed" in line for line in said[:3])
    assert "cannot be read (No such file or directory). Keeping the prices that it held before" in said[3]
    assert [event.basis for event in rows(ledger_path)] == [*["unpriced"] * 6, "official", "official"]


OWN = """\
format: 1
lists:
  - {name: own, from: null, to: null, source: s, models: {openai/gpt-4o: {input: PRICE, output: 0}}}
"""


def _half_saved(file: Path) -> None:
    file.write_text(file.read_text()[:-30])


def _emptied(file: Path) -> None:
    file.write_text("")


def _unreadable(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("breaks", [Path.unlink, _half_saved, _emptied, _unreadable])
def test_the_last_sound_prices_stay_in_force(
    sandbox: Sandbox,
    ledger_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    breaks: Callable[[Path], None],
) -> None:
    """While a price file is broken its last sound prices hold, under a budget too; the mistake is said once."""
    prices = tmp_path / "prices.yaml"
    prices.write_text(OWN.replace("PRICE", "7"))
    monkeypatch.setenv("MAAS_PRICES", str(prices))
    monkeypatch.setattr(runtime.budgets, "configured", (Budget(name="a", credits=10**9),))
    litellm.completion(**CALL)
    breaks(prices)
    for _ in range(2):
        litellm.completion(**CALL)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "litellm_maas"]
    assert said.startswith(f"MAAS_PRICES: {prices}")
    if prices.is_dir():
        prices.rmdir()
    prices.write_text(OWN.replace("PRICE", "8"))
    litellm.completion(**CALL)
    costs = [(event.basis, event.micro_credits, event.input_tokens) for event in rows(ledger_path)]
    assert costs == [("custom", 7 * tokens, tokens) for _, _, tokens in costs[:3]] + [
        ("custom", 8 * tokens, tokens) for _, _, tokens in costs[3:]
    ]


def test_a_change_of_the_same_time_is_seen(
    sandbox: Sandbox, ledger_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that keeps its time holds as soon as its size or the file itself is another, as after `rsync -t`."""
    prices = tmp_path / "prices.yaml"
    monkeypatch.setenv("MAAS_PRICES", str(prices))
    for price in ("7", "10", "11"):
        other = tmp_path / "other.yaml"
        other.write_text(OWN.replace("PRICE", price))
        os.utime(other, (1, 1))
        if price == "10":
            prices.write_bytes(other.read_bytes())
            os.utime(prices, (1, 1))
        else:
            other.replace(prices)
        litellm.completion(**CALL)
    assert [(event.micro_credits or 0) // event.input_tokens for event in rows(ledger_path)] == [7, 10, 11]


def test_a_budget_names_the_mistake_in_the_price_file(
    sandbox: Sandbox, ledger_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the price file was never sound, a refusal for want of a price says what is wrong with the file."""
    (tmp_path / "prices.yaml").write_text("format: 1\nlists: [{naem: a}]")
    monkeypatch.setenv("MAAS_PRICES", str(tmp_path / "prices.yaml"))
    monkeypatch.setattr(runtime.budgets, "configured", (Budget(name="a", credits=10**9),))
    with pytest.raises(litellm.BudgetExceededError, match=r"MAAS_PRICES has a mistake\.\n.*yaml:2: lists\.0\.naem"):
        litellm.completion(**CALL)
    assert not sandbox.requests


@pytest.mark.parametrize("draw", [litellm.image_generation, in_a_loop(litellm.aimage_generation)])
def test_images(
    sandbox: Sandbox,
    ledger_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    draw: Callable[..., Any],
) -> None:
    """Images leave one row with their number, size and quality: unpriced until the user prices the model."""
    asked = {"model": CHAT, "prompt": "a cat", "n": 2, "size": "1024x1024", "quality": "low"}
    draw(**asked)
    (tmp_path / "prices.yaml").write_text(
        "format: 1\nlists:\n  - {name: own, from: null, to: null, source: s,"
        " models: {openai/gpt-4o: {images: {1024x1024: {low: 170}}}}}\n"
    )
    monkeypatch.setenv("MAAS_PRICES", str(tmp_path / "prices.yaml"))
    response = draw(**asked)
    unpriced, priced = rows(ledger_path)
    assert (unpriced.operation, unpriced.images, unpriced.image_size, unpriced.image_quality) == ("image", 2, "1024x1024", "low")  # fmt: skip  # noqa: E501
    assert (unpriced.micro_credits, unpriced.basis) == (None, "unpriced")
    assert (priced.micro_credits, priced.basis) == (340_000_000, "custom")
    assert litellm_maas.cost_of(response).credits == 340  # type: ignore[union-attr]
    assert len(sandbox.bill.charges) == 2


def test_images_of_a_size_that_is_none(sandbox: Sandbox, ledger_path: Path) -> None:
    """Whatever a caller passes as a size, the call and its recording go well."""
    for size in (["1024x1024"], {"w": 1}, 1024):
        strange: dict[str, Any] = {"size": size, "quality": size}
        litellm.image_generation(model=CHAT, prompt="a cat", **strange)
    assert [event.image_size for event in rows(ledger_path)] == [None, None, None]


def test_a_token_plan_call_stays_one(
    sandbox: Sandbox, ledger_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call on the Token Plan host costs no credits, also while a price file has a mistake."""
    (tmp_path / "prices.yaml").write_text("lists: [")
    monkeypatch.setenv("MAAS_PRICES", str(tmp_path / "prices.yaml"))
    monkeypatch.setattr("litellm_maas.settings.PLAN_BASE_URL", sandbox.url)
    litellm.completion(**CALL)
    (event,) = rows(ledger_path)
    assert (event.basis, event.micro_credits) == ("plan", 0)
