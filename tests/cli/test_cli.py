from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from litellm_maas import __version__, settings
from litellm_maas.cli.app import group
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import KEY, run
from tests.ledger_files import rows
from tests.proxy_process import free_port

COMMAND = str(Path(sys.executable).with_name("litellm-maas"))
WITHOUT_LITELLM = """
    import sys
    from click.testing import CliRunner
    import _litellm_maas_cli
    from litellm_maas.cli.app import group
    result = CliRunner().invoke(group, {arguments!r})
    print(result.output)
    print(result.exit_code, "litellm" in sys.modules)
"""


def litellm_maas(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAAS_")}
    return subprocess.run(
        [COMMAND, *arguments], env={**inherited, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["config", "--help"],
        ["config", "check", "--help"],
        ["demo", "--help"],
        ["models", "--help"],
        ["sandbox", "--help"],
        ["models", "--offline"],
    ],
)
def test_help_answers_without_litellm(arguments: list[str]) -> None:
    """Help, version and the offline catalogue are shown without loading LiteLLM, which takes seconds."""
    out = run(WITHOUT_LITELLM.format(arguments=arguments))
    assert out.splitlines()[-1] == "0 False"
    assert "litellm-maas" in out or "Usage:" in out or "openai/gpt-4o" in out


@pytest.mark.process
def test_version() -> None:
    """`--version` prints the version."""
    done = litellm_maas("--version")
    assert (done.returncode, done.stdout) == (0, f"litellm-maas, version {__version__}\n")


@pytest.mark.process
def test_as_a_module() -> None:
    """`python -m litellm_maas` is the command too."""
    done = subprocess.run(
        [sys.executable, "-m", "litellm_maas", "prices", "cost", "openai/gpt-4o", "--input", "1000"],
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout[:9]) == (0, "70.89 VND")


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found, (*path, name))


@pytest.mark.parametrize("path", [path for path, _ in _commands(group)])
def test_help_at_80_columns(path: tuple[str, ...]) -> None:
    """Every command's help fits a terminal of 80 columns, with no sentence cut off, and ends with an example."""
    done = CliRunner().invoke(group, [*path, "--help"], terminal_width=80)
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    assert "..." not in done.output.replace("[ARGS]...", "").replace("[MODELS]...", "").replace("FILES...", "")
    example = done.output.splitlines()[-1].strip()
    assert example.startswith(" ".join(["Example: litellm-maas", *path]))


@pytest.mark.process
@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ("litellm-maas spend --by", "team,mo", {"team,model", "team,month"}),
        ("litellm-maas spend --model", "openai/gpt-4", {"openai/gpt-4o", "openai/gpt-4o-mini"}),
        ("litellm-maas spend export --model", "maas/openai/gpt-4", {"maas/openai/gpt-4o", "maas/openai/gpt-4o-mini"}),
        ("litellm-maas budget set 5 --model", "z-ai/", {"z-ai/glm-5.2"}),
        ("litellm-maas prices show", "z-ai/", {"z-ai/glm-5.2"}),
        ("litellm-maas budget status", "d", {"day"}),
        ("litellm-maas budget remove", "", {"day", "an"}),
        ("litellm-maas doctor --probe", "z-ai/", {"z-ai/glm-5.2"}),
    ],
)
def test_a_shell_completes(tmp_path: Path, words: str, incomplete: str, expected: set[str]) -> None:
    """A shell completes groupings, model ids and the names of budgets."""
    environment = {"MAAS_LEDGER": str(tmp_path / "ledger.db"), "_LITELLM_MAAS_COMPLETE": "bash_complete"}
    for arguments in (("200", "--per", "day"), ("5", "--name", "an")):
        done = CliRunner().invoke(group, ["budget", "set", *arguments], env={"MAAS_LEDGER": environment["MAAS_LEDGER"]})
        assert done.exit_code == 0
    typed = f"{words} {incomplete}"
    found = litellm_maas(**environment, COMP_WORDS=typed, COMP_CWORD=str(len(words.split()))).stdout
    assert {line.partition(",")[2] for line in found.splitlines()} == expected


@pytest.mark.process
def test_an_unknown_command() -> None:
    """An unknown command exits with 2 and points at the help."""
    done = litellm_maas("spend-it-all")
    assert done.returncode == 2
    assert "No such command" in done.stderr


@pytest.mark.process
def test_models_of_the_key(sandbox: Sandbox, tmp_path: Path) -> None:
    """`models` lists what the key sees, with the price where one is published."""
    environment = {**sandbox.environment(), "MAAS_LEDGER": str(tmp_path / "ledger.db")}
    done = litellm_maas("models", "--json", **environment)
    rows = {row["id"]: row for row in json.loads(done.stdout)}
    assert rows["openai/gpt-4o"]["price"] == {"input": 70888.0, "cached": 35444.0, "output": 283550.0}
    assert rows["openai/gpt-4o"]["price_basis"] == "official"
    assert rows["gemini/gemini-2.5-flash"]["price_basis"] == "unpriced"
    assert rows["z-ai/glm-5.2"]["max_input_tokens"] == 200_000
    assert rows["openai/gpt-4o"]["max_input_tokens"] is None
    table = litellm_maas("models", **environment).stdout
    assert "Which of them can be called is not known yet: litellm-maas doctor --probe MODEL" in table
    assert re.search(r"openai/gpt-4o +text\+image\+file +- +70,888 +35,444 +283,550", table)
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.process
@pytest.mark.parametrize("columns", [30, 40, 60, 70, 100])
def test_models_on_a_narrow_terminal(tmp_path: Path, columns: int) -> None:
    """Prices are never cut off; where there is no room, columns are left out and ids are folded."""
    lines = litellm_maas(
        "models", "--offline", COLUMNS=str(columns), MAAS_LEDGER=str(tmp_path / "ledger.db")
    ).stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert "…" not in "".join(lines)
    (first,) = [line for line in lines if line.startswith("openai/gpt-4o ")]
    assert "70,888" in first
    assert "283,550" in first
    assert ("35,444" in first) == (columns >= 60)
    assert ("text" in first) == (columns > 70)


@pytest.mark.process
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(status=401), "ACTIVE"),
        (Fault(status=200, body="<html>"), "did not answer with a list of models"),
        (Fault(status=200, body={"data": [{}]}), "did not answer with a list of models"),
    ],
)
def test_models_says_what_is_wrong(sandbox: Sandbox, fault: Fault, says: str) -> None:
    """A refused key or a wrong address is said in one line, with exit status 1 and no traceback."""
    sandbox.faults.add(fault)
    done = litellm_maas("models", **sandbox.environment())
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stderr


@pytest.mark.process
def test_models_without_a_key() -> None:
    """Without a key the error names the variable and the offline way."""
    done = litellm_maas("models")
    assert done.returncode == 1
    assert "MAAS_API_KEY" in done.stderr
    assert "--offline" in done.stderr


@pytest.mark.process
def test_a_setting_that_cannot_be_used(sandbox: Sandbox) -> None:
    """A base URL that is none is said in one line."""
    done = litellm_maas("models", MAAS_API_KEY=KEY, MAAS_API_BASE="http://gateway.example")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the base URL for host 'gateway.example' is plain http")


@pytest.mark.process
def test_demo(sandbox: Sandbox) -> None:
    """`demo` shows a stream, a tool call and a fallback with their tokens, offline and without noise."""
    done = litellm_maas("demo", **sandbox.environment())
    assert not sandbox.requests
    assert done.returncode == 0, done.stderr
    assert "openai/gpt-4o heard: Thủ đô của Việt Nam ở đâu?" in done.stdout
    assert 'get_weather({"city": "Hà Nội"})' in done.stdout
    assert "answered by qwen/qwen3.6-flash" in done.stdout
    assert re.search(
        r"total +4 .* ([\d.]+ VND)\n(.|\n)*the offline MaaS's own bill agrees: \1",
        done.stdout,
        re.IGNORECASE,
    )
    assert done.stdout.count("tokens:") == 3
    assert not done.stderr


@pytest.mark.process
def test_demo_can_go_live(sandbox: Sandbox) -> None:
    """With a key and `--live` the demo calls the gateway that the environment names, and records that by default."""
    done = litellm_maas("demo", "--live", **sandbox.environment())
    assert done.returncode == 0, done.stderr
    assert [request.body["model"] for request in sandbox.requests][:2] == ["openai/gpt-4o", "qwen/qwen3.6-plus"]
    assert {event.tags for event in rows(settings.data_folder() / "ledger.db")} == {("demo",)}
    assert len(sandbox.requests) == 3


@pytest.mark.process
@pytest.mark.parametrize(
    ("base", "says"),
    [
        ({}, "Error: no API key; set MAAS_API_KEY, or run: litellm-maas demo --offline\n"),
        ({"MAAS_API_KEY": KEY}, "Error: the demo failed: litellm.APIConnectionError: MaaS: no connection to"),
    ],
)
def test_a_live_demo_that_cannot_be(tmp_path: Path, base: dict[str, str], says: str) -> None:
    """A live demo without a key or a gateway says what to do, without a traceback."""
    url = f"http://127.0.0.1:{free_port()}/v1"
    done = litellm_maas("demo", "--live", MAAS_API_BASE=url, XDG_DATA_HOME=str(tmp_path), **base)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [
        ("sandbox", "--port", "99999"),
        ("sandbox", "--port", "-1"),
        ("sandbox", "--rpm", "-1"),
        ("sandbox", "--balance", "-1"),
        ("doctor", "--timeout", "-1"),
        ("doctor", "--timeout", "0"),
        ("doctor", "--timeout", "1e20"),
    ],
)
def test_numbers_out_of_range(arguments: tuple[str, ...]) -> None:
    """A number that nothing can be done with is refused with its option and the range."""
    done = litellm_maas(*arguments)
    assert done.returncode == 2
    assert f"Invalid value for '{arguments[1]}'" in done.stderr
    assert "is not in the range" in done.stderr


@pytest.mark.process
def test_sandbox_until_told_to_stop(tmp_path: Path) -> None:
    """`sandbox` prints the variables, with a ledger of its own, serves, and sums up when it is told to stop."""
    process = subprocess.Popen(
        [COMMAND, "sandbox", "--port", "0", "--rpm", "2", "--balance", "5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path / "data folder")},
    )
    assert process.stdout is not None
    exported: dict[str, Any] = dict(
        process.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(3)
    )
    (ledger,) = shlex.split(exported["MAAS_LEDGER"])
    assert Path(ledger).is_relative_to(tmp_path)
    assert Path(ledger).name == "sandbox.db"
    call = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "a"}]}
    headers = {"authorization": f"Bearer {exported['MAAS_API_KEY']}"}
    url = f"{exported['MAAS_API_BASE']}/chat/completions"
    replies = [httpx.post(url, json=call, headers=headers, trust_env=False).status_code for _ in range(3)]
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert replies == [200, 200, 429]
    assert process.returncode == 0
    assert "2 calls" in stderr


@pytest.mark.process
def test_sandbox_on_a_port_in_use(sandbox: Sandbox) -> None:
    """A port that is taken is said in one line, with the option that chooses another."""
    port = sandbox.url.split(":")[2].split("/")[0]
    done = litellm_maas("sandbox", "--port", port)
    assert done.returncode == 1
    assert f"port {port} cannot be used" in done.stderr
    assert free_port() != int(port)
