from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from litellm_maas.cli.app import group, main
from litellm_maas.errors import ConfigFileError, MaasError
from litellm_maas.pricing import price_file
from litellm_maas.pricing.price_file import PriceFile
from tests.helpers import ROOT, run

EXAMPLE = ROOT / "configs" / "prices.example.yaml"
OWN = """
format: 1
lists:
  - name: contract
    from: 2026-01-01
    to: null
    source: annex 2
    read: 2026-01-05
    models:
      openai/gpt-4o: {input: 60000, cached: 30000.5, output: 250000}
      some-vendor/painter:
        images: {1024x1024: {high: 6000, low: 200}}
        note: Only by contract.
"""
WITHOUT_LITELLM = """
    import sys
    import _litellm_maas_cli
    from click.testing import CliRunner
    from litellm_maas.cli.app import group
    for arguments in {calls!r}:
        result = CliRunner().invoke(group, ["prices", *arguments])
        assert result.exit_code == 0, result.output
    print("litellm" in sys.modules)
"""


@pytest.fixture(autouse=True)
def no_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """The locale is nobody's."""
    for name in ("LC_ALL", "LC_MONETARY", "LANG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A price file of the user's, in force."""
    file = tmp_path / "prices.yaml"
    file.write_text(OWN)
    monkeypatch.setenv("MAAS_PRICES", str(file))
    return file


def invoke(*arguments: str) -> Result:
    """Run `litellm-maas prices` in this process."""
    return CliRunner().invoke(group, ["prices", *arguments])


def shown(*arguments: str) -> str:
    """What it prints, in one line."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def as_json(*arguments: str) -> Any:
    """What it prints as JSON."""
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def mistake(*arguments: str) -> str:
    """What it says is wrong."""
    result = invoke(*arguments)
    assert isinstance(result.exception, MaasError), result.output
    return str(result.exception)


def test_the_list_is_what_is_printed_officially() -> None:
    """`prices` lists what is in force, says that ids are inferred, names prices without an id, and the odd one."""
    text = shown()
    assert text == shown("list")
    assert "openai/gpt-4o* 70,888 35,444 283,550" in text
    assert "openai/gpt-oss-20b* 1,985 - 4,253" in text
    assert "qwen/qwen3.6-plus* (1) 14,178 17,722 85,065" in text
    assert "(1) qwen/qwen3.6-plus: The cache price is printed above the input price; it is kept as printed." in text
    assert "ids are inferred" in text
    assert "no known id: GPT-5.4, GPT-5.4 Mini, GPT-5.4 Nano, Opus 4.8" in text
    assert "96,005" not in text
    assert max(map(len, invoke().stdout.splitlines())) <= 80


def test_the_list_as_json() -> None:
    """As JSON each price has its basis, its list and whether its id is inferred; so have those without an id."""
    found = as_json()
    rows = {row["id"]: row for row in found["models"]}
    assert rows["openai/gpt-4o"] == {
        "id": "openai/gpt-4o",
        "name": "GPT-4o",
        "input": 70888,
        "cached": 35444,
        "output": 283550,
        "images": None,
        "basis": "official",
        "ids": "inferred",
        "list": "official list of 2026-08-03",
        "from": "2026-08-03",
        "to": None,
        "source": "vngcloud/docs, model-pricing-list, 2026-08-07",
        "note": None,
    }
    unidentified = {row["name"]: row for row in found["unidentified"]}
    assert unidentified["gpt-image-2"]["images"]["1024x1024"] == {"high": 5983, "medium": 1503, "low": 170}
    assert as_json("list") == found


def test_ones_own_prices_go_first(own: Path) -> None:
    """A price of the user's own file takes the place of the official one, and is labelled."""
    text = shown()
    assert "openai/gpt-4o custom 60,000 30,000.5 250,000" in text
    assert "openai/gpt-5* official" in text
    assert "some-vendor/painter: an image of 1024x1024: high 6,000, low 200 VND" in text
    assert "some-vendor/painter: Only by contract." in text
    row = next(row for row in as_json()["models"] if row["id"] == "openai/gpt-4o")
    assert (row["basis"], row["cached"]) == ("custom", 30000.5)


def test_the_history_of_a_model(own: Path) -> None:
    """`show` has all lists that price a model, with their days and sources; the prefix `maas/` does not matter."""
    text = shown("show", "maas/openai/gpt-4o")
    assert "2026-01-01 - custom 60,000 30,000.5 250,000" in text
    assert "2026-08-03 - official 70,888 35,444 283,550" in text
    assert "- 2026-08-03 official 96,005 48,003 384,020" in text
    assert "the id is inferred" in text
    found = as_json("show", "openai/gpt-4o")
    assert [(row["basis"], row["input"]) for row in found["prices"]] == [
        ("custom", 60000),
        ("official", 70888),
        ("official", 96005),
    ]
    assert "an image of 1024x1024" in shown("show", "some-vendor/painter")
    assert "Only by contract." in shown("show", "some-vendor/painter")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("gpt-4o", "did you mean openai/gpt-4o, openai/gpt-4o-mini"),
        ("gpt4o", "did you mean openai/gpt-4o"),
        ("qwen/qwen3-6-flash", "did you mean qwen/qwen3.6-flash"),
        ("GLM-5.2", "did you mean z-ai/glm-5.2?"),
        ("opus 4.8", "lists Opus 4.8 with a price, but its id is not known"),
        ("xyzzy", "`litellm-maas prices` lists those that have one"),
    ],
)
def test_a_model_that_no_list_has(model: str, says: str) -> None:
    """An unknown id is an error that names its near misses, or what the vendor prints under that name."""
    assert says in mistake("show", model)
    assert says in mistake("cost", model, "--input", "1")


def test_the_cost_of_a_call() -> None:
    """`cost` prices a call by the documented formula, and says what cached tokens save."""
    text = shown("cost", "openai/gpt-4o", "--input", "1000", "--cached", "300", "--output", "20")
    assert text.startswith("65.93 VND (official: official list of 2026-08-03")
    assert "Cached tokens save 10.63 VND" in text
    found = as_json("cost", "maas/openai/gpt-4o", "--input", "1000", "--cached", "300", "--output", "20")
    assert (found["micro_credits"], found["saved_micro_credits"]) == (65_925_800, 10_633_200)
    assert found["basis"] == "official"


def test_the_cost_at_another_time(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is priced by the list of its time, in the vendor's zone."""
    for at, price in (("2026-08-02T23:59", 120_000_000), ("2025-12-31", 192_010_000), ("2026-08-03", 120_000_000)):
        assert as_json("cost", "openai/gpt-4o", "--input", "2000", "--at", at)["micro_credits"] == price
    monkeypatch.delenv("MAAS_PRICES")
    for at, price in (("2026-08-02T23:59", 192_010_000), ("2026-08-03", 141_776_000)):
        assert as_json("cost", "openai/gpt-4o", "--input", "2000", "--at", at)["micro_credits"] == price


def test_the_cost_of_images(own: Path) -> None:
    """Images cost their number times the price of their size and quality."""
    images = ("--images", "3", "--size", "1024x1024", "--quality")
    assert as_json("cost", "some-vendor/painter", *images, "high")["micro_credits"] == 18_000_000_000
    assert "no price for every kind of token or image" in mistake("cost", "some-vendor/painter", *images, "ultra")


def test_the_cost_by_an_estimate(own: Path) -> None:
    """With estimates switched on, a model without a price is costed by LiteLLM's dollars, and labelled so."""
    own.write_text("format: 1\nestimate: {vnd_per_usd: 25000}\n")
    found = as_json("cost", "gemini/gemini-2.5-flash", "--input", "1000000")
    assert (found["basis"], found["micro_credits"]) == ("estimate", 7_500_000_000)


def test_a_cost_that_nobody_knows() -> None:
    """A model without a price, on that day or at all, is an error and never 0; so is more cached than input."""
    assert "no list has a price for z-ai/glm-5.2 on 2026-01-01" in mistake("cost", "z-ai/glm-5.2", "--at", "2026-01-01")
    assert "qwen/qwen3-embedding-8b, but no price" in mistake("cost", "qwen/qwen3-embedding-8b", "--output", "1")
    assert "cached tokens are a part of them" in mistake("cost", "openai/gpt-4o", "--input", "1", "--cached", "2")
    assert invoke("cost", "openai/gpt-4o", "--input", "-1").exit_code == 2


@pytest.mark.parametrize("arguments", [("show",), ("cost", "--input", "5")])
def test_a_model_that_has_no_official_price(arguments: tuple[str, ...]) -> None:
    """A model that is known and has no price is not taken for a slip of the pen."""
    said = mistake(*arguments, "maas/gemini/gemini-2.5-flash")
    assert said.startswith("no official price exists for gemini/gemini-2.5-flash; put one into a file of your own")
    assert "did you mean" not in said


def test_a_cache_that_costs_more() -> None:
    """Where the list prints a cache price above the input price, nothing is said to be saved."""
    assert "Cached tokens cost 3.54 VND more than the input price." in shown(
        "cost", "qwen/qwen3.6-plus", "--input", "1000", "--cached", "1000"
    )
    assert "Cached tokens save" in shown("cost", "openai/gpt-4o", "--input", "1000", "--cached", "1000")


def test_json_belongs_behind_the_subcommand() -> None:
    """`prices --json show` is refused, because it would print no JSON."""
    result = invoke("--json", "show", "openai/gpt-4o")
    assert (result.exit_code, "write --json after show" in result.output) == (2, True)


def test_check(own: Path) -> None:
    """`check` shows each own price beside the official one, and counts what a sound file holds."""
    text = shown("check", str(own))
    assert "contract (from 2026-01-01 on) openai/gpt-4o 60,000 30,000.5 250,000 official 70,888 35,444 283,550" in text
    assert "some-vendor/painter: an image of 1024x1024: high 6,000, low 200 VND" in text
    assert text.endswith("OK but for 1 warning: 1 list with prices of 2 models.")
    own.write_text(OWN + "estimate: {vnd_per_usd: 26500}\n")
    assert "estimates at 26500 VND per dollar" in shown("check", str(own))
    found = as_json("check", str(own))
    assert found["models"][0] == {
        "id": "openai/gpt-4o",
        "list": "contract",
        "input": 60000,
        "cached": 30000.5,
        "output": 250000,
        "images": None,
        "official": {"input": 70888, "cached": 35444, "output": 283550, "images": None},
    }
    assert len(found["warnings"]) == 1


def test_check_a_file_in_which_nothing_is_odd(tmp_path: Path) -> None:
    """Prices near the official ones, of the days on which they hold, are fine, and so are free and known models."""
    file = tmp_path / "prices.yaml"
    file.write_text(
        "format: 1\nlists:\n"
        "  - {name: old, from: null, to: 2026-08-03, source: x, models: {openai/gpt-4o: {input: 9601, output: 3840200}}}\n"
        "  - {name: new, from: 2030-01-01, to: null, source: x, models: {openai/gpt-4o: {input: 7089, output: 2835500}}}\n"
        "  - {name: free, from: null, to: null, source: x, models: {gemini/gemini-2.5-flash: {input: 0, output: 0}}}\n"
    )
    text = shown("check", str(file))
    assert "warning" not in text
    assert "old (until 2026-08-02)" in text
    assert text.endswith("OK: 3 lists with prices of 2 models.")


@pytest.mark.parametrize(
    ("model", "price", "says"),
    [
        ("openai/gpt-4o", "{input: 70.8880, output: 283550}", "openai/gpt-4o: input 70.888 is 1,000 times lower than the official price of 70,888"),
        ("maas/openai/gpt-4o", "{input: 2.5, output: 10}", "openai/gpt-4o: output 10 is 28,355 times lower than the official price of 283,550"),
        ("z-ai/glm-5.2", "{input: 39697, output: 124762000}", "z-ai/glm-5.2: output 124,762,000 is 1,000 times higher than the official price of 124,762"),
        ("z-ai/glm-5.2", "{input: 39697, cached: 0, output: 124762}", "z-ai/glm-5.2: cached is 0, unlike the official price of 5,387"),
        ("deepseek/deepseek-v4-pro", "{input: 2.5, output: 10}", "input 2.5 is 28 times lower than every official price (71 to 141,775)"),
        ("deepseek/deepseek-v4-pro", "{input: 8000000, output: 32000}", "input 8,000,000 is 56 times higher than every official price"),
        ("OpenAI/GPT-4o", "{input: 60000, output: 250000}", "OpenAI/GPT-4o: no list and no catalogue knows this id; did you mean openai/gpt-4o?"),
        ("gpt-4o", "{input: 60000, output: 250000}", "gpt-4o: no list and no catalogue knows this id; did you mean openai/gpt-4o?"),
        ("acme/own", "{input: 60000, output: 250000}", "acme/own: no list and no catalogue knows this id; check its spelling"),
    ],
)  # fmt: skip
def test_check_warns_of_what_is_odd(tmp_path: Path, model: str, price: str, says: str) -> None:
    """A price that is 10 times lower or higher than the official one, and an id that nobody knows, is a warning."""
    file = tmp_path / "prices.yaml"
    file.write_text(OWN[: OWN.index("      openai")] + f"      {model}: {price}\n")
    assert any(says in warning for warning in as_json("check", str(file))["warnings"])
    assert says in shown("check", str(file))


@pytest.mark.parametrize(
    ("wrong", "right", "says"),
    [
        ("input: 6000x,", "input: 60000,", r":10: lists\.0\.models\.openai/gpt-4o\.input: '6000x.*is not a number"),
        ("inptu: 60000,", "input: 60000,", r":10: lists\.0\.models\.openai/gpt-4o\.inptu: unknown key"),
        ("input: -1,", "input: 60000,", r":10: lists\.0\.models\.openai/gpt-4o\.input: .*greater than or equal to 0"),
        ("to: 2025-01-01", "to: null", r":6: lists\.0\.to: 2025-01-01 is not after `from`"),
    ],
)
def test_check_a_file_with_a_mistake(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: str, right: str, says: str
) -> None:
    """A mistake is one line with file, line, field and what to do, and exit status 1."""
    own.write_text(OWN.replace(right, wrong))
    monkeypatch.setattr("sys.argv", ["litellm-maas", "prices", "check", str(own)])
    with pytest.raises(SystemExit) as ended:
        main()
    err = capsys.readouterr().err
    assert ended.value.code == 1
    assert re.match(f"Error: {re.escape(str(own))}{says}", err), err
    assert len(err.splitlines()) == 1


def test_the_schema_that_is_shipped() -> None:
    """The shipped JSON Schema is what the code says."""
    printed = json.loads(invoke("schema").stdout)
    assert json.loads(price_file.SCHEMA_FILE.read_text(encoding="utf-8")) == printed, (
        "prices.schema.json is not what pricing/prices.py says any more; run: "
        "litellm-maas prices schema > litellm_maas/pricing/prices.schema.json"
    )


def _plain(file: Path) -> Any:
    """A YAML file as a JSON Schema validator sees it: dates are texts."""
    return json.loads(json.dumps(yaml.safe_load(file.read_text(encoding="utf-8")), default=str))


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of a price file is sound by the code and by the schema it names, and can be put in force."""
    content = price_file.read(EXAMPLE, PriceFile)
    assert content.estimate is None
    assert len(content.lists) == 3
    jsonschema.Draft202012Validator.check_schema(price_file.json_schema())
    jsonschema.validate(_plain(EXAMPLE), price_file.json_schema())
    text = EXAMPLE.read_text(encoding="utf-8")
    assert text.startswith(f"# yaml-language-server: $schema={price_file.SCHEMA_FILE.name}\n")
    assert f"litellm-maas prices schema > {price_file.SCHEMA_FILE.name}" in text
    monkeypatch.setenv("MAAS_PRICES", str(EXAMPLE))
    assert as_json("cost", "some-vendor/some-model", "--input", "1000000")["micro_credits"] == 8_000_000_000
    (tmp_path / "prices.yaml").write_text(text.replace("# estimate:", "estimate:"))
    assert price_file.read(tmp_path / "prices.yaml", PriceFile).estimate is not None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.update(format=2),
        lambda file: file.update(colour="red"),
        lambda file: file["lists"][0].pop("source"),
        lambda file: file["lists"][0]["models"]["openai/gpt-4o"].update(input="63800"),
        lambda file: file["lists"][0]["models"]["openai/gpt-4o"].update(input=-1),
        lambda file: file["lists"][0]["models"]["openai/gpt-4o"].update(inptu=1),
        lambda file: file.update(estimate={"vnd_per_usd": 0}),
    ],
)
def test_schema_and_code_refuse_the_same(tmp_path: Path, spoil: Callable[[Any], object]) -> None:
    """What the code refuses, the schema refuses while one types."""
    spoilt = copy.deepcopy(_plain(EXAMPLE))
    spoil(spoilt)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spoilt, price_file.json_schema())
    (tmp_path / "prices.yaml").write_text(json.dumps(spoilt))
    with pytest.raises(ConfigFileError):
        price_file.read(tmp_path / "prices.yaml", PriceFile)


@pytest.mark.process
def test_nothing_of_it_loads_litellm(own: Path) -> None:
    """Price lists are shown, checked and reckoned with without loading LiteLLM, which takes seconds."""
    calls = [
        *([], ["list", "--json"], ["show", "openai/gpt-4o"], ["cost", "openai/gpt-4o", "--input", "5"]),
        *(["check", str(own)], ["schema"], ["--help"], ["cost", "--help"]),
    ]
    assert run(WITHOUT_LITELLM.format(calls=calls), MAAS_PRICES=str(own)) == "False"
