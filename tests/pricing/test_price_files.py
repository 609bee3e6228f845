"""Mistakes in a price file: each is found, and its message names file, line and field."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from litellm_maas.errors import ConfigFileError
from litellm_maas.pricing import price_file
from litellm_maas.pricing.price_book import PriceBook

SOUND = """\
format: 1
estimate: {vnd_per_usd: 26000}
lists:
  - name: contract 7
    from: 2026-01-01
    to: 2026-07-01
    source: our contract
    models:
      openai/gpt-4o: {input: 100, cached: 50, output: 200}
      acme/image:
        images:
          1024x1024: {high: 5983}
  - name: contract 8
    from: 2026-07-01
    to: null
    source: our contract
    models:
      openai/gpt-4o: {input: 90.5, output: 180}
"""
NOT_A_NUMBER = "is not a number; write credits per 1,000,000 tokens, such as 70888"
FIRST = "lists.0.models.openai/gpt-4o"
OVERLAP = "is priced by 'contract 7' on some of the same days; end one list where the other begins"
MISTAKES = {
    "a negative price": ("input: 100", "input: -1", 9, f"{FIRST}.input", "Input should be greater than or equal to 0"),
    "a price in words": ("input: 100", "input: free", 9, f"{FIRST}.input", f"'free' {NOT_A_NUMBER}"),
    "a price in quotes": ("input: 100", "input: '100'", 9, f"{FIRST}.input", f"'100' {NOT_A_NUMBER}"),
    "a price with its unit": ("cached: 50", "cached: 50 VND", 9, f"{FIRST}.cached", f"'50 VND' {NOT_A_NUMBER}"),
    "a thousands separator": ("output: 200", "output: 7,089", 9, f"{FIRST}.089", "unknown key; remove it or check its spelling"),
    "NaN": ("input: 100", "input: .nan", 9, f"{FIRST}.input", "Input should be a finite number"),
    "infinity": ("input: 100", "input: .inf", 9, f"{FIRST}.input", "Input should be a finite number"),
    "a boolean": ("input: 100", "input: yes", 9, f"{FIRST}.input", f"True {NOT_A_NUMBER}"),
    "a price beyond belief": ("input: 100", "input: 1000000001", 9, f"{FIRST}.input", "Input should be less than or equal to 1000000000"),
    "seven decimals": ("input: 100", "input: 1.1234567", 9, f"{FIRST}.input", "Decimal input should have no more than 6 decimal places"),
    "a misspelt key": ("cached: 50", "cache: 50", 9, f"{FIRST}.cache", "unknown key; remove it or check its spelling"),
    "a key twice on a line": ("cached: 50", "cached: 50, input: 7", 9, f"{FIRST}.input", "key is already set on line 9; keep one of the two"),
    "a model twice": (
        "      acme/image:\n", "      openai/gpt-4o: {input: 7}\n      acme/image:\n", 10, FIRST,
        "key is already set on line 9; keep one of the two",
    ),
    "a price of nothing": ("{input: 100, cached: 50, output: 200}", "{output: 200}", 9, FIRST, "has neither `input` nor `images`; a price needs one of them"),
    "a model without its prices": ("{input: 100, cached: 50, output: 200}", "100", 9, FIRST, "Input should be a valid dictionary or instance of PriceEntry"),
    "an image without its quality": ("{high: 5983}", "5983", 12, "lists.0.models.acme/image.images.1024x1024", "Input should be a valid dictionary"),
    "a negative image": ("{high: 5983}", "{high: -5983}", 12, "lists.0.models.acme/image.images.1024x1024.high", "Input should be greater than or equal to 0"),
    "an end before the beginning": ("to: 2026-07-01", "to: 2025-12-31", 6, "lists.0.to", "2025-12-31 is not after `from`; a list holds for a day at least"),
    "an end on the first day": ("to: 2026-07-01", "to: 2026-01-01", 6, "lists.0.to", "2026-01-01 is not after `from`; a list holds for a day at least"),
    "a day that both price": ("to: 2026-07-01", "to: 2026-07-02", 18, "lists.1.models.openai/gpt-4o", OVERLAP),
    "a list that never ends": ("to: 2026-07-01", "to: null", 18, "lists.1.models.openai/gpt-4o", OVERLAP),
    "lists that always held": ("from: 2026-07-01\n    to: null", "from: null\n    to: null", 18, "lists.1.models.openai/gpt-4o", OVERLAP),
    "a day that is none": ("from: 2026-01-01", "from: 2026-02-30", 5, "lists.0.from", "'2026-02-30' cannot be read (day is out of range for month); correct it"),
    "a day in words": ("from: 2026-01-01", "from: soon", 5, "lists.0.from", "Input should be a valid date or datetime, input is too short"),
    "an hour": ("from: 2026-01-01", "from: 2026-01-01 10:00:00", 5, "lists.0.from", "Datetimes provided to dates should have zero time - e.g. be exact dates"),
    "no source": ("    source: our contract\n    models:\n      openai/gpt-4o: {input: 100", "    models:\n      openai/gpt-4o: {input: 100", 4, "lists.0.source", "required key is missing; add it"),
    "no format": ("format: 1\n", "", 1, "format", "required key is missing; add it"),
    "another format": ("format: 1", "format: 2", 1, "format", "Input should be 1"),
    "another time zone": ("format: 1", "format: 1\ntime_zone: UTC", 2, "time_zone", "Input should be 'Asia/Ho_Chi_Minh'"),
    "a rate of nothing": ("vnd_per_usd: 26000", "vnd_per_usd: 0", 2, "estimate.vnd_per_usd", "Input should be greater than 0"),
    "a number without an end": ("input: 100", f"input: {'9' * 5000}", 9, f"{FIRST}.input", f"'{'9' * 40}' cannot be read"),
    "thousands in Vietnamese": ("input: 100", "input: 70.888", 9, f"{FIRST}.input", "70.888 could be 70888 or 70 and 888 thousandths; write 70888 for the first, 70.8880 for the second"),
    "round thousands": ("output: 200", "output: 200.000", 9, f"{FIRST}.output", "200.000 could be 200000 or 200 and 000 thousandths; write 200000 for the first, 200 for the second"),
    "an image's thousands": ("high: 5983", "high: 5.983", 12, "lists.0.models.acme/image.images.1024x1024.high", "5.983 could be 5983 or 5 and 983 thousandths"),
    "a rate's thousands": ("vnd_per_usd: 26000", "vnd_per_usd: 26.000", 2, "estimate.vnd_per_usd", "26.000 could be 26000 or 26"),
    "octal": ("input: 100", "input: 0100", 9, f"{FIRST}.input", "0100 is read as 64 by YAML; write 100, without the 0 in front, or 64, whichever is meant"),
    "octal that is the same": ("input: 100", "input: 07", 9, f"{FIRST}.input", "07 is read as 7 by YAML; write 7, without the 0 in front"),
    "a zero that is not octal": ("input: 100", "input: 089", 9, f"{FIRST}.input", f"'089' {NOT_A_NUMBER}"),
    "a zero before a fraction": ("input: 100", "input: 010.5", 9, f"{FIRST}.input", "010.5 is read as 10.5 by YAML; write 10.5, without the 0 in front"),
    "hex": ("input: 100", "input: 0x1F", 9, f"{FIRST}.input", "0x1F is read as 31 by YAML; write it in plain digits, such as 31"),
    "binary": ("input: 100", "input: 0b10", 9, f"{FIRST}.input", "0b10 is read as 2 by YAML"),
    "base 60": ("input: 100", "input: 1:30", 9, f"{FIRST}.input", "1:30 is read as 90 by YAML; write it in plain digits, such as 90"),
    "base 60 with a fraction": ("input: 100", "input: 190:20:30.15", 9, f"{FIRST}.input", "190:20:30.15 is read as 685230.15 by YAML"),
    "digits in odd groups": ("input: 100", "input: 70_88", 9, f"{FIRST}.input", "70_88 is read as 7088 by YAML"),
    "more digits than a float keeps": ("input: 100", "input: 0.1000000000000000055", 9, f"{FIRST}.input", "0.1000000000000000055 is read as 0.1 by YAML"),
    "an exponent that is text to YAML": ("input: 100", "input: 1e5", 9, f"{FIRST}.input", f"'1e5' {NOT_A_NUMBER}"),
    "a price in words, of an id with its prefix": ("openai/gpt-4o: {input: 100", "maas/openai/gpt-4o: {input: free", 9, f"{FIRST.replace('openai', 'maas/openai')}.input", f"'free' {NOT_A_NUMBER}"),
    "a day that both price, one with the prefix": (
        "    from: 2026-07-01\n    to: null\n    source: our contract\n    models:\n      openai",
        "    from: 2026-06-30\n    to: null\n    source: our contract\n    models:\n      maas/openai",
        18, "lists.1.models.maas/openai/gpt-4o", OVERLAP,
    ),
    "seconds since 1970 for a day": ("from: 2026-01-01", "from: 86400", 5, "lists.0.from", "86400 is not a day; write one such as 2026-08-03"),
    "one model with and without its prefix": (
        "      acme/image:\n", "      maas/openai/gpt-4o: {input: 7}\n      acme/image:\n", 8, "lists.0.models",
        "'openai/gpt-4o' and 'maas/openai/gpt-4o' are one model; keep one of the two",
    ),
    "a prefix without a model": ("      acme/image:\n", "      maas/:\n", 8, "lists.0.models", "'maas/' is not a model id"),
    "a bracket left open": ("lists:", "lists: [", 4, "", "is not valid YAML: did not find expected node content"),
}  # fmt: skip


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    """The file that the mistakes are made in is sound without them."""
    file = tmp_path / "prices.yaml"
    file.write_text(SOUND)
    first, second = price_file.read(file, price_file.PriceFile).lists
    assert str(first.models["openai/gpt-4o"].cached) == "50"
    assert str(second.models["openai/gpt-4o"].input) == "90.5"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_where_it_stands(tmp_path: Path, mistake: str) -> None:
    """Each mistake raises an error with its file, its line, its field and what is wrong."""
    sound, wrong, line, field, problem = MISTAKES[mistake]
    assert sound in SOUND
    file = tmp_path / "prices.yaml"
    file.write_text(SOUND.replace(sound, wrong, 1))
    with pytest.raises(ConfigFileError) as caught:
        price_file.read(file, price_file.PriceFile)
    found = caught.value
    assert (found.file, found.line, found.field) == (file, line, field)
    assert f"{found.message}; {found.hint}".startswith(problem)
    assert str(found).startswith(f"{file}:{line}: {field}: {problem}" if field else f"{file}:{line}: {problem}")


@pytest.mark.parametrize(
    ("written", "price"),
    [
        ("70888", "70888"), ("70_888", "70888"), ("1_000_000", "1000000"), ("70_888.000", "70888"), ("1000.500", "1000.5"),
        ("70.8880", "70.888"), ("0.888", "0.888"), (".5", "0.5"), ("5.", "5"), ("1.5e+3", "1500"), ("+5", "5"), ("0", "0"),
        ("0.000001", "0.000001"), ("999999999.123456", "999999999.123456"),
    ],
)  # fmt: skip
def test_a_number_that_means_one_thing_is_taken(tmp_path: Path, written: str, price: str) -> None:
    """What YAML and people read alike is the price, to the last digit."""
    file = tmp_path / "prices.yaml"
    file.write_text(SOUND.replace("input: 100", f"input: {written}", 1))
    found = price_file.read(file, price_file.PriceFile).lists[0].models["openai/gpt-4o"].input
    assert found == Decimal(price)


@pytest.mark.parametrize("written", ["maas/openai/gpt-4o", "'openai/gpt-4o '", '" maas/openai/gpt-4o\\t"'])
def test_ids_are_the_gateways(tmp_path: Path, written: str) -> None:
    """A model id with LiteLLM's prefix, or with white space around it, prices the model that is meant."""
    file = tmp_path / "prices.yaml"
    file.write_text(SOUND.replace("openai/gpt-4o", written))
    book = PriceBook(
        price_file.read(price_file.OFFICIAL_FILE, price_file.OfficialFile), price_file.read(file, price_file.PriceFile)
    )
    found = book.price("openai/gpt-4o", dt.datetime(2026, 8, 15, tzinfo=dt.timezone.utc))
    assert found is not None
    assert (found.basis, found.entry.input) == ("custom", Decimal("90.5"))


def _refused_by_schema(text: str) -> bool:
    # JSON, which the schema is for, writes days as text.
    plain = json.loads(json.dumps(yaml.safe_load(text), default=str))
    schema: dict[str, Any] = price_file.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return not jsonschema.Draft202012Validator(schema).is_valid(plain)


def test_the_schema_for_editors_takes_what_is_sound() -> None:
    """The JSON Schema takes a sound file and, but for the rate that only it has, the shipped one."""
    assert not _refused_by_schema(SOUND)
    shipped = yaml.safe_load(price_file.OFFICIAL_FILE.read_text())
    del shipped["usd_rate"]
    assert not _refused_by_schema(yaml.safe_dump(shipped))


@pytest.mark.parametrize(
    "mistake",
    ["a negative price", "a price in words", "a price in quotes", "a boolean", "a price beyond belief", "a misspelt key",
     "a model without its prices", "a negative image", "no source", "no format", "another format", "another time zone",
     "a rate of nothing"],
)  # fmt: skip
def test_the_schema_for_editors_refuses_what_is_wrong(mistake: str) -> None:
    """What a schema can know to be wrong, an editor shows."""
    sound, wrong, *_ = MISTAKES[mistake]
    assert _refused_by_schema(SOUND.replace(sound, wrong, 1))
