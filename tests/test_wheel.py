"""The wheel, not the checkout: built, installed into an empty environment, and used."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.helpers import ROOT

CALLS = """
import os
import litellm, litellm_maas
from litellm_maas.sandbox import Sandbox
tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
with Sandbox() as box:
    call = dict(model="maas/openai/gpt-4o", messages=[{"role": "user", "content": "Xin chào"}],
                api_base=box.url, api_key=box.key)
    print(litellm.completion(**call).choices[0].message.content)
    stream = litellm.completion(stream=True, **call)
    print("".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices))
    print(litellm.completion(tools=[tool], **call).choices[0].message.tool_calls[0].function.name)
    os.environ.update(box.environment())
    print(litellm_maas.load_router().completion(model="maas", messages=call["messages"]).choices[0].message.content)
"""


ANSWER = "openai/gpt-4o heard: Xin chào"


def test_what_the_wheel_holds(wheel: Path) -> None:
    """The wheel holds the data files and the type marker, and no tests, no start-up hook and no stray files."""
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "py.typed",
        "catalogue.yaml",
        "pricing/prices.yaml",
        "pricing/prices.schema.json",
        "sandbox/pytest_plugin.py",
    ):
        assert f"litellm_maas/{wanted}" in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "litellm_maas",
        "_litellm_maas_cli.py",
    }
    assert not [name for name in names if name.endswith((".pth", ".pyc", ".db"))]
    assert {f"litellm_maas/configs/{file.name}" for file in (ROOT / "configs").iterdir()} <= set(names)


def described_by(wheel: Path) -> Message:
    """What the wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


@pytest.mark.timeout(400)
def test_what_the_wheel_says_of_itself(wheel: Path) -> None:
    """An index would know what it is, whose, under which licence, for which Pythons, and that it has types."""
    described = described_by(wheel)
    for field in ("Summary", "Author", "Keywords", "License-Expression", "Description-Content-Type"):
        assert described[field]
    classifiers = described.get_all("Classifier", [])
    assert "Typing :: Typed" in classifiers
    pythons = {each.rpartition(" ")[2] for each in classifiers if "Python :: 3." in each}
    assert pythons >= {"3.10", f"{sys.version_info.major}.{sys.version_info.minor}"}
    assert described["Requires-Python"] == ">=3.10"


@pytest.mark.timeout(400)
def test_extras(wheel: Path) -> None:
    """Each extra brings what it is named for."""
    described = described_by(wheel)
    wanted = [Requirement(text) for text in described.get_all("Requires-Dist", [])]
    extras = {
        extra: {
            str(each).partition(";")[0].strip()
            for each in wanted
            if each.marker and each.marker.evaluate({"extra": extra})
        }
        for extra in described.get_all("Provides-Extra", [])
    }
    assert extras["proxy"] == {"litellm[proxy]"}
    assert extras["cache"] == {"fastapi", "orjson", "soundfile"}
    assert extras["postgres"] == {"psycopg[binary]>=3.2"}


@pytest.mark.timeout(400)
def test_calls(installed: Path, tmp_path: Path) -> None:
    """Where nothing but the wheel and what it depends on is installed, call, stream, tool call and router work."""
    assert run(installed, "-c", CALLS, folder=tmp_path).splitlines() == [ANSWER, ANSWER, "get_weather", ANSWER]


@pytest.mark.timeout(400)
def test_the_command(installed: Path, tmp_path: Path) -> None:
    """So does the command, with its demo: a stream, a tool call and a fallback, each with its tokens, and the bill."""
    command = installed.with_name("litellm-maas")
    assert run(command, "--version", folder=tmp_path).startswith("litellm-maas, version")
    shown = run(command, "demo", folder=tmp_path)
    assert "\nopenai/gpt-4o heard: Thủ đô của Việt Nam ở đâu?\n  tokens: " in shown
    assert '\nget_weather({"city": "Hà Nội"})\n  tokens: ' in shown
    assert "\nanswered by qwen/qwen3.6-flash\n  tokens: " in shown
    assert "The offline MaaS's own bill agrees" in shown


def run(program: Path, *arguments: str, folder: Path) -> str:
    """What a program prints, started in a folder where the checkout is not to be found."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(program), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**environment, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
