"""Numbers in a file of budgets: what YAML or a person could read as another one is refused where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from litellm_maas import settings
from litellm_maas.budgets import budget
from litellm_maas.errors import ConfigFileError, SettingsError
from litellm_maas.router.load import load_router

ODD = [
    ("credits: 200.000", "200.000 could be 200000 or 200 and 000 thousandths; write 200000 for the first, 200 for the second"),
    ("credits: 1.530", "1.530 could be 1530 or 1 and 530 thousandths; write 1530 for the first, 1.5300 for the second"),
    ("credits: 0200000", "0200000 is read as 65536 by YAML; write 200000, without the 0 in front, or 65536"),
    ("credits: 0x200", "0x200 is read as 512 by YAML"),
    ("credits: 20:00", "20:00 is read as 1200 by YAML"),
    ("credits: 20_0000", "20_0000 is read as 200000 by YAML"),
    ("credits: 1, warn_at: [050, 80]", "050 is read as 40 by YAML; write 50"),
    ("credits: 1, warn_at: [1:20]", "1:20 is read as 80 by YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "says"), ODD)
def test_an_odd_number_is_refused(tmp_path: Path, written: str, says: str) -> None:
    """A limit or a percentage that could mean another number is an error with its file, its line and the number."""
    file = tmp_path / "budgets.yaml"
    file.write_text(f"budgets:\n  - {{name: a, credits: 7}}\n  - {{name: b, {written}}}\n")
    with pytest.raises(ConfigFileError) as caught:
        budget.read(file)
    assert (caught.value.file, caught.value.line) == (file, 3)
    assert says in str(caught.value)


@pytest.mark.parametrize(("written", "says"), ODD)
def test_an_odd_number_in_a_routers_file_is_refused(tmp_path: Path, written: str, says: str) -> None:
    """The same in the `budgets` of a router's file, while other numbers in it are none of money's business."""
    file = tmp_path / "router.yaml"
    file.write_text(
        "model_list:\n"
        "  - {model_name: maas, litellm_params: {model: maas/openai/gpt-4o, api_key: k, timeout: 12.125}}\n"
        f"budgets:\n  - {{name: b, {written}}}\n"
    )
    with pytest.raises(ConfigFileError) as caught:
        load_router(file)
    assert caught.value.line == 4
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("written", "limit"),
    [("200000", 200_000_000_000), ("200_000", 200_000_000_000), ("200.5", 200_500_000), ("1530.125", 1_530_125_000),
     ("0.125", 125_000), ("'200.000.000'", 200_000_000_000_000), ("'200,5'", 200_500_000)],
)  # fmt: skip
def test_a_number_that_means_one_thing_is_taken(tmp_path: Path, written: str, limit: int) -> None:
    """What YAML and people read alike is the limit, to the micro-credit."""
    file = tmp_path / "budgets.yaml"
    file.write_text(f"budgets: [{{name: a, credits: {written}}}]")
    assert budget.read(file)[0].limit == limit


@pytest.mark.parametrize("written", ["maas/openai/gpt-4o", "' openai/gpt-4o '", "' maas/openai/gpt-4o'"])
@pytest.mark.parametrize("field", ["model: {}", "action: {}"])
def test_ids_are_the_gateways(tmp_path: Path, written: str, field: str) -> None:
    """LiteLLM's prefix and white space around a model id do not keep a budget from its calls."""
    file = tmp_path / "budgets.yaml"
    value = written if field.startswith("model") else f"'downgrade:{written.strip(chr(39))}'"
    file.write_text(f"budgets:\n  - name: a\n    credits: 1\n    {field.format(value)}\n")
    (found,) = budget.read(file)
    assert "openai/gpt-4o" in (found.model, found.cheaper_model)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("MAAS_VND_PER_USD", "28.355"), ("MAAS_RPM", "1.000"), ("MAAS_RPM_MAX_WAIT", "1,500"), ("MAAS_CREDITS_WARN_BELOW", "50.000")],
)  # fmt: skip
def test_odd_numbers_in_the_environment(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """A variable whose number could be thousands or thousandths is refused too."""

    def read() -> Any:
        settings.vnd_per_usd()
        settings.rate_limit()
        settings.credits_warn_below()

    with monkeypatch.context() as patch:
        patch.setenv("MAAS_RPM", "10")
        read()
        patch.setenv(variable, value)
        with pytest.raises(SettingsError, match=rf"{variable}.*could be \d+ or \d+ and \d+ thousandths"):
            read()
