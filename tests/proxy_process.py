"""A real LiteLLM proxy in a process of its own, where `litellm[proxy]` is installed."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from packaging.requirements import Requirement

from litellm_maas.catalogue import catalogue
from litellm_maas.sandbox import Sandbox
from tests.helpers import KEY

MASTER_KEY = "sk-proxy-master-for-tests-only"
# What is made once in a session, and the tests that use it.
_SHARED = {
    "proxy": r"test_clients\.py|test_recording_proxy\.py|test_feature\[.*-proxy\]",
    "reloaded": r"test_reloading_litellm\[",
    "installed": r"test_wheel\.py|test_docs\.py",
}
# Files of tests that share nothing and take seconds each, because they start programs: whoever is idle takes the next.
_APART = r"test_(durability|doctor|cli|registration|examples)\.py"
_STARTING = {"bench", "clone", "installed", "postgres_server", "proxy", "pytester", "redis_url", "wheel"}
"""Fixtures that start a program."""
TEAM_KEY = "sk-proxy-key-of-a-team"
TEAM_KEY_OWNER = {"key_alias": "alias-of-the-key", "team_id": "team-1", "team_alias": "The Team", "user_id": "minh"}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_proxy(config: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The URL of a proxy that serves a config file, for as long as the block lasts."""
    port = free_port()
    log = config.with_suffix(".log")
    command = [str(Path(sys.executable).with_name("litellm")), "--config", str(config), "--port", str(port)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAAS_", "OPENAI_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1"],
            env={**inherited, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*", **environment},
            cwd=config.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_alive(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_alive(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 240  # seconds; it takes ten, and minutes where many programs start at once
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health/liveliness", timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(0.1)  # a process that starts tells nobody when it is ready
    pytest.fail(f"the proxy did not start:\n{log.read_text()[-3000:]}")


AUTHENTICATION = f"""
from litellm.proxy._types import UserAPIKeyAuth

async def authenticate(request, api_key):
    if api_key == "{MASTER_KEY}":
        return UserAPIKeyAuth(api_key=api_key, user_role="proxy_admin")
    return UserAPIKeyAuth(api_key=api_key, user_role="internal_user", **{TEAM_KEY_OWNER!r})
"""


def missing() -> tuple[str, ...]:
    """What `litellm[proxy]` wants and is not installed here, or not in the version that it wants."""
    found = []
    for text in metadata.requires("litellm") or ():
        wanted = Requirement(text)
        if wanted.marker is None or not wanted.marker.evaluate({"extra": "proxy"}):
            continue
        try:
            installed = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            found.append(str(wanted).partition(";")[0].strip())
        else:
            if not wanted.specifier.contains(installed, prereleases=True):
                found.append(f"{wanted.name}{wanted.specifier}, not {installed}")
    return tuple(found)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let tests that need a proxy be skipped only where that is asked for: elsewhere a missing proxy is a failure."""
    parser.addoption(
        "--without-proxy",
        action="store_true",
        help="skip the tests marked `proxy` if litellm[proxy] is not installed",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test that needs a proxy where there can be none."""
    if item.get_closest_marker("proxy") is None or not (lacks := missing()):
        return
    reason = f"litellm[proxy] is not installed; missing: {', '.join(lacks)}"
    if item.config.getoption("--without-proxy"):
        pytest.skip(reason)
    pytest.fail(f"{reason}. Install it, or pass --without-proxy", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what one process runs for long first, and single tests last: no process is left alone at the end.

    What takes a server or an environment from a fixture is marked `process`, so that nobody has to think of it.
    """
    for item in items:
        if item.get_closest_marker("proxy") or _STARTING.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("process")

    def place(item: pytest.Item) -> int:
        if any(re.search(users, item.nodeid) for users in _SHARED.values()):
            return 0
        return 2 if re.search(_APART, item.nodeid) else 1

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let one process run all tests that share what is made once in a session: the proxy, or the installed wheel.

    Others are run file by file, or one by one where that ends sooner.
    """
    # pytest-xdist has marks for this, which pytest 9.2 takes no notice of.
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it has no types

    config.option.loadscopereorder = False  # the order above, not the largest files first

    class Shared(LoadFileScheduling):  # type: ignore[misc]  # the same
        def _split_scope(self, nodeid: str) -> str:
            found = (name for name, users in _SHARED.items() if re.search(users, nodeid))
            alone = nodeid if re.search(_APART, nodeid) else super()._split_scope(nodeid)
            return next(found, str(alone))

    return Shared(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def proxy_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the proxy of the session records spend."""
    return tmp_path_factory.mktemp("proxy-ledger") / "ledger.db"


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory, proxy_ledger: Path) -> Iterator[tuple[str, Sandbox]]:
    """A proxy that serves `maas/` models from a sandbox and records spend, both for the whole session.

    Besides the models by their ids it has a group `smart`, which falls back to the group `cheap`, and below `/through`
    what it passes on to the sandbox as it is.
    """
    groups = {**{name: name for name in catalogue().ids()}, "smart": "openai/gpt-4o", "cheap": "openai/gpt-4o-mini"}
    models: dict[str, dict[str, Any]] = {name: {"model": f"maas/{model}"} for name, model in groups.items()}
    models["qwen/qwen3-embedding-8b"]["drop_params"] = True  # as configs/proxy.yaml has it for all
    config: dict[str, Any] = {
        "model_list": [{"model_name": name, "litellm_params": params} for name, params in models.items()],
        "litellm_settings": {
            "custom_provider_map": [{"provider": "maas", "custom_handler": "litellm_maas.maas"}],
            "callbacks": ["litellm_maas.spend_logger"],
        },
        "router_settings": {"fallbacks": [{"smart": ["cheap"]}], "num_retries": 0},
        # Keys with an owner need a database otherwise.
        "general_settings": {"master_key": MASTER_KEY, "custom_auth": "proxy_auth.authenticate"},
    }
    folder = tmp_path_factory.mktemp("proxy")
    (folder / "proxy_auth.py").write_text(AUTHENTICATION)
    file = folder / "config.yaml"
    with Sandbox(key=KEY) as sandbox:
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        config["general_settings"]["pass_through_endpoints"] = [
            {"path": f"/through/{name}", "target": f"{sandbox.url}/{name}", "headers": headers}
            for name in ("chat/completions", "embeddings")
        ]
        file.write_text(yaml.safe_dump(config))
        environment = {**sandbox.environment(), "MAAS_LEDGER": str(proxy_ledger)}
        with running_proxy(file, environment) as url:
            yield url, sandbox
