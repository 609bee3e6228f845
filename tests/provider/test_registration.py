from __future__ import annotations

import copy
import importlib
import json
import os
import threading
from decimal import Decimal
from typing import Any

import litellm
import pytest
from litellm import CustomLLM

import litellm_maas
from litellm_maas.catalogue import catalogue
from litellm_maas.sandbox import Sandbox
from tests.helpers import MESSAGES
from tests.warm_process import run_warm


def test_importing_keeps_the_entries_of_others() -> None:
    """Registering adds one entry to LiteLLM's list of providers and leaves the others where they are."""
    others: Any = {"provider": "acme", "custom_handler": CustomLLM()}
    litellm.custom_provider_map = [others]
    for _ in range(3):
        litellm_maas.register()
    assert litellm.custom_provider_map == [others, {"provider": "maas", "custom_handler": litellm_maas.maas}]


def test_the_list_was_replaced(sandbox: Sandbox) -> None:
    """The next call enters `maas/` into a new list, once, beside what it holds; no `register()` is needed."""
    acme: Any = {"provider": "acme", "custom_handler": CustomLLM()}
    for new in ([], [acme]):
        litellm.custom_provider_map = [*new]
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES)
        assert litellm.custom_provider_map == [*new, {"provider": "maas", "custom_handler": litellm_maas.maas}]
    assert len(sandbox.requests) == 2


def test_a_new_list_names_a_handler_of_its_own() -> None:
    """Who puts another handler under our prefix keeps it, until `register()`."""
    other: Any = {"provider": "maas", "custom_handler": CustomLLM()}
    litellm.custom_provider_map = [other]
    assert litellm.supports_vision("maas/openai/gpt-4o")
    assert litellm.custom_provider_map == [other]


def test_a_stale_handler_is_replaced() -> None:
    """An entry left by an earlier import of the package is replaced, not doubled."""
    litellm.custom_provider_map = [{"provider": "maas", "custom_handler": CustomLLM()}]
    litellm_maas.register()
    (item,) = litellm.custom_provider_map
    assert (item["provider"], item["custom_handler"]) == ("maas", litellm_maas.maas)


def test_registering_in_threads() -> None:
    """Registering from many threads at once leaves one entry."""
    litellm.custom_provider_map = []
    threads = [threading.Thread(target=litellm_maas.register) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry["provider"] for entry in litellm.custom_provider_map] == ["maas"]


ASKED_AFTER_A_RELOAD = [
    'litellm.supports_vision("maas/openai/gpt-4o")',
    'litellm.supports_function_calling("maas/somebody/new")',
    '"thinking" in litellm.get_supported_openai_params("maas/openai/gpt-4o")',
    'litellm.get_llm_provider("maas/openai/gpt-4o")[1] == "maas"',
    'litellm.utils.return_raw_request(CallTypes.completion, dict(call))["raw_request_body"]',
    'litellm.completion(**call)._hidden_params["response_cost"] > 0',
    "len(list(litellm.completion(**call, stream=True))) > 1",
    "asyncio.run(litellm.acompletion(**call)).choices[0].message.content",
    'litellm.responses(model=call["model"], input="a").status == "completed"',
    'litellm.embedding(model="maas/qwen/qwen3-embedding-8b", input=["a"]).data',
    'litellm.image_generation(model=call["model"], prompt="a cat").data',
]


@pytest.fixture(scope="module")
def after_a_reload() -> dict[str, list[Any]]:
    """What each look-up and call answers right after a reload, twice, and how many calls of it are recorded then.

    One process asks them all: to import LiteLLM takes longer than all that they do.
    """
    out = run_warm(
        f"""
        import asyncio, importlib, json, os, tempfile, litellm, litellm_maas
        from litellm.types.utils import CallTypes
        from litellm_maas.sandbox import Sandbox
        os.environ["MAAS_LEDGER"] = os.path.join(tempfile.mkdtemp(), "ledger.db")
        litellm_maas.track_spend()
        with Sandbox() as box:
            os.environ.update(MAAS_API_BASE=box.url, MAAS_API_KEY=box.key)
            call = dict(model="maas/openai/gpt-4o", messages=[{{"role": "user", "content": "a"}}])
            found = {{}}
            for ask in {ASKED_AFTER_A_RELOAD}:
                found[ask] = []
                for _ in range(2):
                    importlib.reload(litellm)
                    found[ask].append(bool(eval(ask)))
                    importlib.reload(litellm)
                    litellm.completion(**call, metadata={{"session_id": ask}})
                found[ask].append(litellm_maas.session_spend(ask).calls)
            print(json.dumps(found))
        """
    )
    answers: dict[str, list[Any]] = json.loads(out.splitlines()[-1])
    return answers


@pytest.mark.process
@pytest.mark.parametrize("ask", ASKED_AFTER_A_RELOAD)
def test_reloading_litellm(ask: str, after_a_reload: dict[str, list[Any]]) -> None:
    """Right after `importlib.reload(litellm)`, every look-up and every call finds `maas/`, and spend is recorded."""
    assert after_a_reload[ask] == [True, True, 2]


@pytest.mark.process
def test_reloading_litellm_and_importing_again() -> None:
    """After `importlib.reload(litellm)`, a replaced model map or a second import, `register()` restores everything."""
    out = run_warm(
        """
        import importlib, sys, time, litellm, litellm_maas
        importlib.reload(litellm)
        litellm.model_cost = {}
        litellm_maas.register()
        from litellm_maas.sandbox import Sandbox
        with Sandbox() as box:
            call = dict(model="maas/openai/gpt-4o", messages=[{"role": "user", "content": "a"}],
                        api_base=box.url, api_key=box.key)
            litellm.completion(**call)
            for name in [name for name in sys.modules if name.startswith("litellm_maas")]:
                del sys.modules[name]
            import litellm_maas as again
            litellm.completion(**call)
            print(litellm.supports_vision("maas/openai/gpt-4o"), len(litellm.custom_provider_map), len(box.requests),
                  litellm.custom_provider_map[0]["custom_handler"] is again.maas)
        """
    )
    assert out.splitlines()[-1] == "True 1 2 True"


def test_registering_again_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second `register()` tells LiteLLM nothing that it knows already."""

    def fail(_: Any) -> None:
        raise AssertionError("registered again")

    litellm_maas.register()
    monkeypatch.setattr(litellm, "register_model", fail)
    litellm_maas.register()


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_has_connections_of_its_own(sandbox: Sandbox) -> None:
    """A child process calls through connections of its own; the parent's stay usable."""
    litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES)
    out = run_warm(
        """
        import os, litellm, litellm_maas
        call = dict(model="maas/openai/gpt-4o", messages=[{"role": "user", "content": "a"}])
        litellm.completion(**call)
        if (child := os.fork()) == 0:
            litellm.completion(**call)
            os._exit(0)
        print(os.waitpid(child, 0)[1])
        litellm.completion(**call)
        """,
        **sandbox.environment(),
    )
    assert out == "0"
    assert len(sandbox.requests) == 4


@pytest.mark.process
def test_importing_opens_nothing_and_starts_nothing() -> None:
    """Importing the package starts no thread and opens no socket; the only files it reads are its own."""
    out = run_warm(
        """
        import sys, threading, litellm
        threads = threading.active_count()
        opened = []
        def watch(event, args):
            if event in ("socket.connect", "socket.bind") or event == "open" and "w" in str(args[1]):
                opened.append((event, args))
            if event == "open" and str(args[0]).endswith((".yaml", ".db")):
                opened.append(("read", str(args[0]).rsplit("/", 1)[-1]))
        sys.addaudithook(watch)
        import litellm_maas
        print(threading.active_count() - threads, sorted(name for what, name in opened if what == "read"),
              [event for event in opened if event[0] != "read"])
        """,
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert out == "0 ['catalogue.yaml', 'prices.yaml'] []"


def test_the_catalogue_answers_through_litellm() -> None:
    """LiteLLM's own look-ups answer for the known ids."""
    assert litellm.get_max_tokens("maas/minimax/minimax-m2.5") == 16_400
    assert litellm.get_model_info("maas/z-ai/glm-5.2")["max_input_tokens"] == 200_000
    assert litellm.get_model_info("maas/qwen/qwen3-embedding-8b")["mode"] == "embedding"
    assert litellm.token_counter(model="maas/openai/gpt-4o", text="Xin chào Việt Nam") > 0
    for model_id in catalogue().ids():
        assert litellm.get_model_info(f"maas/{model_id}")["litellm_provider"] == "maas"


def test_sensible_defaults_for_unknown_ids() -> None:
    """A model that nobody has described can chat and call tools, and is not said to see."""
    assert litellm.supports_function_calling("maas/somebody/new-model")
    assert litellm.supports_response_schema("maas/somebody/new-model")
    assert not litellm.supports_vision("maas/somebody/new-model")
    info = litellm.get_model_info("maas/somebody/new-model")
    assert (info["mode"], info["max_input_tokens"]) == ("chat", 129_024)


@pytest.mark.process
def test_registering_changes_no_model_of_another_provider() -> None:
    """LiteLLM's own entries, such as the one of gpt-4o, are the same after registering."""
    out = run_warm(
        """
        import copy, litellm
        before = copy.deepcopy(litellm.model_cost)
        import litellm_maas
        print([name for name, entry in before.items() if litellm.model_cost.get(name) != entry])
        print(all(name.startswith("maas/") for name in litellm.model_cost if name not in before))
        """
    )
    assert out == "[]\nTrue"


def test_cost_fields_are_dollars_by_the_stated_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteLLM's cost fields hold US dollars; the user can change the rate; a model without a price gets none."""
    info = litellm.get_model_info("maas/openai/gpt-4o")
    assert info["input_cost_per_token"] == pytest.approx(70_888 / 28_355 / 1e6)
    assert info["output_cost_per_token"] == pytest.approx(283_550 / 28_355 / 1e6)
    assert info["cache_read_input_token_cost"] == pytest.approx(35_444 / 28_355 / 1e6)
    free_of_price = litellm.model_cost["maas/gemini/gemini-2.5-flash"]
    assert not any(free_of_price.get(name) for name in free_of_price if "cost" in name)
    no_cache_price = litellm.model_cost["maas/openai/gpt-oss-120b"]
    assert no_cache_price["cache_read_input_token_cost"] == no_cache_price["input_cost_per_token"]
    with monkeypatch.context() as patch:
        patch.setenv("MAAS_VND_PER_USD", "25000")
        patch.setattr(litellm, "model_cost", copy.deepcopy(litellm.model_cost))
        litellm_maas.register()
        dollars = litellm.model_cost["maas/openai/gpt-4o"]["input_cost_per_token"]
        assert Decimal(str(dollars)) == Decimal("0.00000283552")
    # A proxy that reloads its prices would bring back the registered ones.
    litellm.model_cost = {}
    litellm_maas.register()


@pytest.mark.parametrize("rate", ["0", "-1", "many", "nan", "inf"])
def test_a_rate_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    """A rate that is no positive number is refused by name."""
    with monkeypatch.context() as patch:
        patch.setenv("MAAS_VND_PER_USD", rate)
        with pytest.raises(ValueError, match="MAAS_VND_PER_USD"):
            litellm_maas.register()


def test_the_public_names() -> None:
    """The package offers its documented names, lists them, and refuses others."""
    for name in litellm_maas.__all__:
        assert hasattr(litellm_maas, name)
        assert name in dir(litellm_maas)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = litellm_maas.no_such_name
    assert importlib.import_module("litellm_maas").__version__ == litellm_maas.__version__
