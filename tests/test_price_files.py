"""Mistakes in a price file: each is found, and its message names file, line and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from litellm_maas.errors import DataFileError
from litellm_maas.pricing import prices

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
    "a bracket left open": ("lists:", "lists: [", 4, "", "is not valid YAML: did not find expected node content"),
}  # fmt: skip


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    """The file that the mistakes are made in is sound without them."""
    file = tmp_path / "prices.yaml"
    file.write_text(SOUND)
    first, second = prices.read(file, prices.PriceFile).lists
    assert str(first.models["openai/gpt-4o"].cached) == "50"
    assert str(second.models["openai/gpt-4o"].input) == "90.5"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_where_it_stands(tmp_path: Path, mistake: str) -> None:
    """Each mistake raises an error with its file, its line, its field and what is wrong."""
    sound, wrong, line, field, problem = MISTAKES[mistake]
    assert sound in SOUND
    file = tmp_path / "prices.yaml"
    file.write_text(SOUND.replace(sound, wrong, 1))
    with pytest.raises(DataFileError) as caught:
        prices.read(file, prices.PriceFile)
    found = caught.value
    assert (found.file, found.line, found.field) == (file, line, field)
    assert found.problem.startswith(problem)
    assert str(found).startswith(f"{file}:{line}: {field}: {problem}" if field else f"{file}:{line}: {problem}")


def _refused_by_schema(text: str) -> bool:
    # JSON, which the schema is for, writes days as text.
    plain = json.loads(json.dumps(yaml.safe_load(text), default=str))
    schema: dict[str, Any] = prices.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return not jsonschema.Draft202012Validator(schema).is_valid(plain)


def test_the_schema_for_editors_takes_what_is_sound() -> None:
    """The JSON Schema takes a sound file and, but for the rate that only it has, the shipped one."""
    assert not _refused_by_schema(SOUND)
    shipped = yaml.safe_load(prices.OFFICIAL_FILE.read_text())
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
