"""`litellm-maas config`: what a config comes to, what is wrong with it, and starters."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

import litellm_maas
from litellm_maas.catalogue import catalogue
from litellm_maas.cli import config as command_line
from litellm_maas.did_you_mean import meant
from litellm_maas.errors import ConfigFileError, SettingsError
from litellm_maas.pricing import price_book, price_file
from litellm_maas.router import templates
from litellm_maas.router.lint.proxy_config import check_file
from litellm_maas.settings import PAYG_BASE_URL, PLAN_BASE_URL
from tests.helpers import KEY
from tests.router.lint.broken_configs import BROKEN, PROXY, ROUTER, Broken

MASTER_KEY = "sk-master-0123456789abcdef"
CLUSTER = {
    "REDIS_HOST": "redis.example",
    "REDIS_PORT": "6379",
    "REDIS_PASSWORD": "a password",
    "DATABASE_URL": "postgresql://user:a-secret@db.example/litellm",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that every config needs are set."""
    monkeypatch.setenv("MAAS_API_KEY", KEY)
    monkeypatch.setenv("LITELLM_MASTER_KEY", MASTER_KEY)


def config(*arguments: object) -> Result:
    """Run `litellm-maas config`."""
    return CliRunner().invoke(command_line.command, [str(argument) for argument in arguments])


def written(folder: Path, broken: Broken) -> Path:
    """A broken config in a folder, with what stands beside it."""
    for name, content in broken.beside.items():
        (folder / name).write_text(content)
    file = folder / "config.yaml"
    file.write_text(broken.content)
    return file


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_broken_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: Broken) -> None:
    """A mistake is said with its file, line, field and mend, and an error makes the command fail."""
    for name in broken.unset:
        monkeypatch.delenv(name)
    file = written(tmp_path, broken)
    result = config("check", file)
    lines = result.output.replace(f"{tmp_path}{os.sep}", "").splitlines()
    assert lines[0] == f"{broken.level}: {broken.says}"
    assert broken.brings_others == (len(lines) > 1)
    assert result.exit_code == (1 if broken.level == "error" else 0)


def test_every_mistake_has_a_message_of_its_own() -> None:
    """There are at least 25 broken configs, and no two of them are told the same."""
    assert len({broken.says.partition(": ")[2] for broken in BROKEN}) == len(BROKEN) >= 25


@pytest.mark.parametrize("broken", [each for each in BROKEN if each.is_routers_error], ids=lambda broken: broken.name)
def test_load_router_says_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: Broken) -> None:
    """`load_router` raises what the check calls an error, before LiteLLM sees the file."""
    for name in broken.unset:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigFileError) as caught:
        litellm_maas.load_router(written(tmp_path, broken))
    assert str(caught.value).replace(f"{tmp_path}{os.sep}", "") == broken.says


@pytest.mark.parametrize("name", templates.NAMES)
def test_nothing_is_wrong_with_the_shipped_ones(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The shipped configs are checked without a word."""
    for variable, value in CLUSTER.items():
        monkeypatch.setenv(variable, value)
    result = config("check", templates.config_file(name))
    assert (result.exit_code, result.output[:23]) == (0, "OK: nothing is wrong wi")


@pytest.mark.parametrize("content", [ROUTER, PROXY])
def test_nothing_is_wrong_with_the_unbroken_ones(tmp_path: Path, content: str) -> None:
    """The configs that the broken ones are made of are not broken themselves."""
    file = tmp_path / "config.yaml"
    file.write_text(content)
    assert config("check", file).output.startswith("OK: nothing is wrong with ")


def test_the_trio_is_shipped_as_it_was_asked_for() -> None:
    """The shipped router has the vendor's trio, in its order; each number in it says why."""
    content = yaml.safe_load(templates.config_file("router.yaml").read_text())
    group = [each["litellm_params"] for each in content["model_list"] if each["model_name"] == "maas"]
    assert [(each["model"], each["order"]) for each in group] == [
        ("maas/openai/gpt-4o", 1),
        ("maas/gemini/gemini-2.5-flash", 2),
        ("maas/qwen/qwen3-27b", 3),
    ]
    for name in templates.NAMES:
        for line in templates.config_file(name).read_text().splitlines():
            setting, _, value = line.strip().partition(": ")
            if value[:1].isdigit() and setting != "order":
                assert " # " in line, f"{name}: {line}"


INCLUDABLE = ("maas_models.yaml", "maas_models.current.yaml")


@pytest.mark.parametrize("name", INCLUDABLE)
def test_what_an_include_may_hold(name: str) -> None:
    """A file to be included holds models and nothing else, in groups that no admin has named already."""
    content = yaml.safe_load(templates.config_file(name).read_text())
    assert list(content) == ["model_list"]
    groups = {each["model_name"] for each in content["model_list"]}
    assert {group for group in groups if group != "maas" and not group.startswith("maas/")} == set()
    ids = {each["litellm_params"]["model"] for each in content["model_list"]}
    assert groups == {"maas", *ids}


def _plain(named: Any) -> Any:
    """Groups as a router's own file calls them: without the prefix that keeps an included one apart."""
    if isinstance(named, dict):
        return {_plain(key): _plain(value) for key, value in named.items()}
    return [_plain(each) for each in named] if isinstance(named, list) else str(named).removeprefix("maas/")


@pytest.mark.parametrize(
    ("router", "proxies", "models"),
    [
        ("router.yaml", ("proxy.yaml", "proxy-cluster.yaml"), "maas_models.yaml"),
        ("router.current.yaml", ("proxy.current.yaml",), "maas_models.current.yaml"),
    ],
)
def test_the_configs_agree(router: str, proxies: tuple[str, ...], models: str) -> None:
    """What the router and the proxies are told about the same thing is the same."""
    contents = {name: yaml.safe_load(templates.config_file(name).read_text()) for name in templates.NAMES}
    settings = contents[router]["router_settings"]
    for proxy in proxies:
        assert contents[proxy]["include"] == [models]
        others = contents[proxy]["router_settings"]
        for name in ("timeout", "stream_timeout", "num_retries"):
            assert settings[name] == others[name], name
        for name in ("context_window_fallbacks", "content_policy_fallbacks"):
            assert settings[name] == _plain(others[name]), name

    def routes(name: str) -> list[tuple[str, str, int]]:
        return [
            (_plain(m["model_name"]), m["litellm_params"]["model"], m["litellm_params"].get("order", 1))
            for m in contents[name]["model_list"]
        ]

    assert routes(router) == routes(models)
    for each in contents[models]["model_list"]:
        assert each["litellm_params"]["timeout"] == settings["timeout"]


@pytest.mark.parametrize("name", [each for each in templates.NAMES if ".current." in each])
def test_current_models_are_priced(name: str) -> None:
    """Every model of a `.current` file has an official price today."""
    now = dt.datetime.now(dt.timezone.utc)
    for each in yaml.safe_load(templates.config_file(name).read_text())["model_list"]:
        model = each["litellm_params"]["model"].removeprefix("maas/")
        found = price_book.official_prices().price(model, now)
        assert found is not None, model
        assert "unpriced" not in each.get("model_info", {})


MIXED = """\
model_list:
  - {model_name: gpt, litellm_params: {model: maas/openai/gpt-4o}}
  - {model_name: gpt, litellm_params: {model: OTHER, api_key: os.environ/MAAS_API_KEY BASE}, model_info: {INFO}}
router_settings: {timeout: 60}
"""


@pytest.mark.parametrize(
    ("other", "base", "info", "is_mixed"),
    [
        ("openai/gpt-4o", "", "", True),
        ("azure/gpt-4o", ", api_base: 'https://acme.example/v1'", "", True),
        ("gpt-4o", "", "mixed_providers: false", True),
        ("openai/gpt-4o", "", "mixed_providers: true", False),
        ("openai/gpt-4o", f", api_base: {PAYG_BASE_URL}", "", False),
        ("openai/glm-5.2", f", api_base: {PLAN_BASE_URL}", "", False),
        ("maas/openai/gpt-4o-mini", "", "", False),
    ],
)
def test_a_group_of_several_providers(tmp_path: Path, other: str, base: str, info: str, is_mixed: bool) -> None:
    """A group that leads to MaaS and to another provider is an error, unless the file says that it is meant."""
    file = tmp_path / "config.yaml"
    file.write_text(MIXED.replace("OTHER", other).replace(" BASE", base).replace("INFO", info))
    assert ("mixes providers" in config("check", file).output) is is_mixed


def test_findings_as_json(tmp_path: Path) -> None:
    """With `--json` each finding is an object; several files are checked at once."""
    file = tmp_path / "config.yaml"
    file.write_text(ROUTER.replace("{timeout: 60}", "{timeout: -1,\n  num_retries: -1}"))
    result = config("check", "--json", file, templates.config_file("router.yaml"))
    found = json.loads(result.output)
    assert [(each["severity"], each["line"], each["field"]) for each in found] == [
        ("error", 3, "router_settings.timeout"),
        ("error", 4, "router_settings.num_retries"),
    ]
    assert all(each["file"] == str(file) and each["message"] for each in found)


def test_ones_own_prices_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A model that `MAAS_PRICES` prices has a price."""
    prices = tmp_path / "prices.yaml"
    entry = {"name": "mine", "from": None, "to": None, "source": "contract", "models": {"gemini/gemini-2.5-flash": {"input": 1, "output": 1}}}  # fmt: skip  # noqa: E501
    prices.write_text(yaml.safe_dump({"format": 1, "lists": [entry]}))
    monkeypatch.setenv("MAAS_PRICES", str(prices))
    file = tmp_path / "config.yaml"
    file.write_text(ROUTER.replace("openai/gpt-4o", "gemini/gemini-2.5-flash"))
    assert config("check", file).output.startswith("OK: nothing is wrong with ")


def test_a_plan_has_other_ids_and_no_prices(tmp_path: Path) -> None:
    """On the Token Plan host bare codes are right, and calls have no price."""
    file = tmp_path / "config.yaml"
    plan = "{model: maas/glm-5.2, api_base: https://tokenplan.api.greennode.ai/v1}"
    file.write_text(ROUTER.replace("{model: maas/openai/gpt-4o}", plan))
    assert config("check", file).output.startswith("OK: nothing is wrong with ")


def test_an_id_that_is_right_all_the_same(tmp_path: Path) -> None:
    """`unlisted: true` says that an id which looks like a slip is none."""
    file = tmp_path / "config.yaml"
    file.write_text(ROUTER.replace("openai/gpt-4o}", "openai/gpt-4}, model_info: {unlisted: true, unpriced: true}"))
    assert config("check", file).output.startswith("OK: nothing is wrong with ")


@pytest.mark.parametrize(
    ("written_id", "probably"),
    [
        ("openai/gpt4o", "openai/gpt-4o"),
        ("OpenAI/GPT-4o", "openai/gpt-4o"),
        ("gemini/gemini-2.5-flsh", "gemini/gemini-2.5-flash"),
        ("qwen/qwen3-27", "qwen/qwen3-27b"),
        ("gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("openai/gpt-5.4", None),
        ("openai/gpt-4o-audio", None),
        ("qwen/qwen3.8-plus", None),
        ("z-ai/glm-5.3", None),
        ("anthropic/opus-4.8", None),
    ],
)
def test_slips_and_new_models_are_told_apart(written_id: str, probably: str | None) -> None:
    """A slip of the pen has the digits of a known id and almost its letters; a new version or variant has not."""
    assert meant(written_id, catalogue().ids()) == probably


def test_a_config_that_is_one_of_several(tmp_path: Path) -> None:
    """Includes are followed, also nested ones, each once; groups may stand in any of the files."""
    (tmp_path / "more").mkdir()
    (tmp_path / "config.yaml").write_text(
        PROXY.replace("timeout: 60", "timeout: 60, fallbacks: [{maas: [far]}]").replace(
            "model_list:", "include: [more/first.yaml, more/second.yaml]\nmodel_list:"
        )
    )
    far = "model_list: [{model_name: far, litellm_params: {model: maas/z-ai/glm-5.2}}]\n"
    (tmp_path / "more/first.yaml").write_text("include: [second.yaml]\nmodel_list: []\n")
    (tmp_path / "more/second.yaml").write_text(f"include: [first.yaml, ../config.yaml]\n{far}")
    assert config("check", tmp_path / "config.yaml").output.startswith("OK: nothing is wrong with ")


def test_init_writes_starters_and_never_over_a_file(tmp_path: Path) -> None:
    """`init` writes configs and a price file, without a mistake; a second time it writes those that are missing."""
    folder = tmp_path / "new"
    result = config("init", folder)
    assert result.exit_code == 0
    written = [line.split()[0] for line in result.output.splitlines()]
    assert written == [str(folder / name) for name in templates.TEMPLATES]
    assert ".current." in written[0]
    assert price_file.read(folder / "prices.example.yaml", price_file.PriceFile).lists
    for name in ("proxy.current.yaml", "proxy.yaml"):
        assert list(check_file(folder / name, price_book.official_prices())) == []
    (folder / "router.yaml").write_text("mine")
    (folder / "proxy.yaml").unlink()
    again = config("init", folder)
    assert (again.exit_code, again.stdout.split()[:1]) == (0, [str(folder / "proxy.yaml")])
    assert f"{folder / 'router.yaml'} already exists and was kept." in again.stderr
    assert (folder / "router.yaml").read_text() == "mine"
    assert list(check_file(folder / "proxy.yaml", price_book.official_prices())) == []
    found = json.loads(config("init", folder, "--json").stdout)
    assert (found["written"], len(found["kept"])) == ([], len(templates.TEMPLATES))
    assert len(json.loads(config("init", tmp_path / "json", "--json").output)["written"]) == len(templates.TEMPLATES)


def test_a_shipped_config_that_does_not_exist() -> None:
    """A name that is none of the shipped ones is answered with those that are."""
    with pytest.raises(SettingsError, match=r"router\.current\.yaml.*router\.yaml"):
        templates.config_file("other.yaml")


def test_a_proxy_without_our_models_is_left_alone(tmp_path: Path) -> None:
    """Nothing is said about spend or rests in a proxy that serves no MaaS model; functions may be callbacks."""
    (tmp_path / "own.py").write_text("def log(*args): pass\n")
    content: dict[str, Any] = {
        "model_list": [{"model_name": "a", "litellm_params": {"model": "openai/gpt-4o", "api_key": "os.environ/HOME"}}],
        "litellm_settings": {"callbacks": "own.log", "success_callback": ["langfuse"]},
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(content))
    assert config("check", file).output.startswith("OK: nothing is wrong with ")
