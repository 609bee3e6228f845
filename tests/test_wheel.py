"""The wheel, not the checkout: built, installed into an empty environment, and used."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CALLS = """
import os
import litellm, litellm_maas
from litellm_maas.sandbox import Sandbox
tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
with Sandbox() as box:
    call = dict(model="maas/openai/gpt-4o", messages=[{"role": "user", "content": "Xin chào"}],
                api_base=box.url, api_key=box.key)
    print(litellm.completion(**call).choices[0].message.content)
    print("".join(chunk.choices[0].delta.content or "" for chunk in litellm.completion(stream=True, **call)))
    print(litellm.completion(tools=[tool], **call).choices[0].message.tool_calls[0].function.name)
    os.environ.update(box.environment())
    print(litellm_maas.load_router().completion(model="maas", messages=call["messages"]).choices[0].message.content)
"""


ANSWER = "openai/gpt-4o heard: Xin chào"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_what_the_wheel_holds(wheel: Path) -> None:
    """The wheel holds the data files and the type marker, and no tests, no start-up hook and no stray files."""
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "py.typed",
        "models.yaml",
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


@pytest.mark.timeout(400)
def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """In an environment that holds the wheel and what it depends on, a call, a stream and a tool call work."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "-c", str(ROOT / "constraints.txt"), str(wheel)], check=True)
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run(
        [str(python), "-c", CALLS], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.stdout.splitlines() == [ANSWER, ANSWER, "get_weather", ANSWER], done.stderr
    command = python.with_name("litellm-maas")
    version = subprocess.run([str(command), "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("litellm-maas, version")
