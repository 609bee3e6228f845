"""Every command and snippet of the README and of docs/ does what it says, and every link leads somewhere."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

import litellm_maas
from litellm_maas import settings
from litellm_maas.budgets import budget
from litellm_maas.sandbox import Sandbox
from tests.helpers import KEY, MESSAGES, ROOT
from tests.proxy_process import MASTER_KEY, running_proxy

PAGES = {
    str(file.relative_to(ROOT)): file.read_text(encoding="utf-8")
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
}
LINKED = {
    **PAGES,
    **{name: (ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "examples/README.md")},
}
README = PAGES["README.md"]
INDEX = PAGES["docs/README.md"]

RUN = ("python", "bash", "yaml", "yml")
"""Languages of blocks that are run or read here."""
DRAWN = ("mermaid",)
"""Languages of blocks that nothing can run."""

NOT_RUN = {
    "scripts/": "they run these tests, or what is too slow for them; `test_named_scripts_exist` looks for them",
    ".venv-test/": "these run the tests, or are steps of scripts/test",
    "pip install": "the fixture `installed` does it; tests/test_wheel.py looks at the extras",
    "export MAAS_API_KEY=": "the sandbox has a key of its own",
    "export LITELLM_MASTER_KEY=": "the same for proxies",
    "litellm --config": "tests/router starts the shipped proxies, `test_proxy` the one of docs/proxy.md",
    "litellm-maas demo": "tests/cli/test_cli.py runs it",
    "litellm-maas config check": "it loads LiteLLM, so `test_configs` runs it once, for all files",
    "litellm-maas sandbox": "it runs until Ctrl-C; tests/cli/test_cli.py starts it",
    "litellm-maas spend tail": "it runs until Ctrl-C; tests/cli/test_spend_commands.py reads it",
    "python examples/": "tests/test_examples.py runs them",
}
"""How command lines begin that are not run here, and why."""

PRINTED = {
    "README.md": ("heard: Xin chào!", "heard: Xin chào!", ""),
    "docs/agents.md": ("2 calls",),
    "docs/budgets.md": ("registered notify",),
    "docs/calls.md": ("heard: Xin chào!",),
    "docs/routing.md": ("heard: Xin chào!", "heard: Xin chào!"),
    "docs/sandbox.md": ("heard: Xin chào!", "True"),
    "docs/spend.md": ("VND official\n1 call in this session", "micro-credits"),
}
"""What each Python snippet prints, page by page."""

FORKS = """
import json, os, sys, tempfile, traceback
import litellm

# Loaded once, because that takes seconds; each snippet imports litellm_maas for itself, in a process of its own.
litellm.encode(model="gpt-4o", text="")

results = []
for code in json.load(sys.stdin):
    with tempfile.TemporaryFile("w+") as output:
        if not (child := os.fork()):
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            exec(compile(code, "snippet", "exec"), {"__name__": "__main__"})
            sys.exit()
        _, status = os.waitpid(child, 0)
        output.seek(0)
        results.append([status, output.read()])
print(json.dumps(results))
"""


def blocks(page: str, *languages: str) -> list[str]:
    """The code blocks of a page in some languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)
    return [code for language, code in found if language in languages]


SNIPPETS = [(page, code) for page in PAGES for code in blocks(page, "python")]
WITH_COMMANDS = [page for page in PAGES if blocks(page, "bash")]


@dataclasses.dataclass
class Reader:
    """Does what the pages say, with the package as a user gets it, and a sandbox in the place of the gateway."""

    python: Path
    environment: dict[str, str]
    folder: Path

    def in_folder(self, name: str) -> Reader:
        """The same reader in a fresh folder."""
        (self.folder / name).mkdir(parents=True)
        return dataclasses.replace(self, folder=self.folder / name)

    def run(self, *command: str, stdin: str = "", **environment: str) -> str:
        """What a program prints, in a folder where the checkout is not to be found."""
        done = subprocess.run(
            command,
            env=self.environment | environment,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def reader(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody who reads the pages from the first to the last, in a home of their own."""
    home = tmp_path_factory.mktemp("reader")
    folder = home / "folder"
    folder.mkdir()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
        and not name.startswith(("MAAS_", "OPENAI_", "XDG_"))
        and not name.upper().endswith("_PROXY")
    }
    with Sandbox(key=KEY) as sandbox:
        environment = {
            **inherited,
            **sandbox.environment(),
            "HOME": str(home),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MASTER_KEY": MASTER_KEY,
            "PATH": f"{installed.parent}{os.pathsep}{os.environ['PATH']}",
        }
        yield Reader(installed, environment, folder)


@pytest.fixture(scope="module")
def printed(reader: Reader) -> list[tuple[int, str]]:
    """The exit status and the output of each snippet: one after the other, each in a process of its own."""
    codes = json.dumps([code for _, code in SNIPPETS])
    return [(status, output) for status, output in json.loads(reader.run(str(reader.python), "-c", FORKS, stdin=codes))]


def test_every_block_is_run_or_drawn() -> None:
    """No page has a block in a language that is neither run here nor known to be a drawing."""
    for page, text in PAGES.items():
        assert len(blocks(page, *RUN, *DRAWN)) == len(re.findall(r"^ *```", text, re.MULTILINE)) / 2, page


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", PRINTED)
def test_python(printed: list[tuple[int, str]], page: str) -> None:
    """Python snippets run and print what they are there to show."""
    results = [result for (of, _), result in zip(SNIPPETS, printed, strict=True) if of == page]
    for (status, output), expected in zip(results, PRINTED[page], strict=True):
        assert (status, expected in output) == (0, True), output


def test_python_everywhere() -> None:
    """Each page with Python snippets has an expectation."""
    assert {page for page, _ in SNIPPETS} == set(PRINTED)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_commands(reader: Reader, printed: list[tuple[int, str]], page: str) -> None:
    """The command lines of a page print something or write a file, one after the other, once calls were recorded."""
    reader = reader.in_folder(page)
    exported: dict[str, str] = {}
    for line in "".join(blocks(page, "bash")).splitlines():
        if not line.strip() or line.startswith(tuple(NOT_RUN)):
            continue
        if found := re.match(r'export (\w+)="?([^"\s]*)', line):
            exported[found[1]] = found[2].replace("$PWD", str(reader.folder))
            continue
        before = set(reader.folder.iterdir())
        output = reader.run("bash", "-c", line, **exported)
        assert output or set(reader.folder.iterdir()) > before or line.startswith("eval "), line


def test_every_exception_is_needed() -> None:
    """Nothing is excused from being run that stands nowhere."""
    lines = [line for page in PAGES for code in blocks(page, "bash") for line in code.splitlines()]
    for beginning in NOT_RUN:
        assert any(line.startswith(beginning) for line in lines), beginning


@pytest.mark.parametrize("code", [code for page in PAGES for code in blocks(page, "yml")])
def test_budget_files(tmp_path: Path, code: str) -> None:
    """A file of budgets is one."""
    file = tmp_path / "budgets.yaml"
    file.write_text(code)
    assert budget.read(file)


@pytest.mark.timeout(400)
def test_configs(reader: Reader) -> None:
    """`litellm-maas config check` has nothing to say about any config of the pages, nor about those that they name."""
    reader = reader.in_folder("configs")
    reader.run("litellm-maas", "config", "init")
    commands = [line for page in PAGES for code in blocks(page, "bash") for line in code.splitlines()]
    named = [line.split() for line in commands if line.startswith("litellm-maas config check")]
    files = [reader.folder / words[3] for words in named]
    for number, code in enumerate(code for page in PAGES for code in blocks(page, "yaml")):
        files.append(reader.folder / f"config-{number}.yaml")
        files[-1].write_text(code)
    assert len(files) > len(named) > 1
    assert json.loads(reader.run("litellm-maas", "config", "check", "--json", *map(str, files))) == []


@pytest.mark.proxy
def test_proxy(sandbox: Sandbox, tmp_path: Path) -> None:
    """The config in docs/proxy.md starts a proxy that serves its model."""
    file = tmp_path / "config.yaml"
    code = blocks("docs/proxy.md", "yaml")[0]
    file.write_text(code)
    model = yaml.safe_load(code)["model_list"][0]["model_name"]
    with running_proxy(file, {**sandbox.environment(), "LITELLM_MASTER_KEY": MASTER_KEY}) as url:
        body = {"model": model, "messages": MESSAGES}
        headers = {"authorization": f"Bearer {MASTER_KEY}"}
        reply = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30, trust_env=False)
    assert reply.json()["choices"][0]["message"]["content"] == "openai/gpt-4o heard: Xin chào"


@pytest.mark.parametrize("code", [code for _, code in SNIPPETS])
def test_linters_leave_the_import(code: str) -> None:
    """A snippet that imports the package for its effect alone says so, or a linter would take the import out."""
    used = any(isinstance(node, ast.Name) and node.id == "litellm_maas" for node in ast.walk(ast.parse(code)))
    for line in re.findall(r"^import .*litellm_maas\b.*$", code, re.MULTILINE):
        assert used or "# noqa: F401" in line


def test_no_index_is_asked_for_the_package() -> None:
    """No command installs `litellm-maas` by its name, which is on no index yet."""
    texts = [*(ROOT / page for page in PAGES), *ROOT.glob("examples/*"), *ROOT.glob("litellm_maas/**/*.py")]
    for file in filter(Path.is_file, texts):
        assert not re.findall(r"pip install [^`\n]*litellm-maas", file.read_text(encoding="utf-8")), file


@pytest.mark.parametrize("page", PAGES)
def test_named_scripts_exist(page: str) -> None:
    """Scripts that a page names are there, and can be run."""
    for script in set(re.findall(r"(?:^|`)(scripts/[\w-]+)", PAGES[page], re.MULTILINE)):
        assert os.access(ROOT / script, os.X_OK), script


@pytest.mark.parametrize("page", LINKED)
def test_links(page: str) -> None:
    """Relative links lead to a file, and to a heading of it where they name one."""
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", LINKED[page]):
        path, _, anchor = link.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), link
        if anchor:
            assert anchor in headings(file.read_text(encoding="utf-8")), link


def headings(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", without_code, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_names_exist(page: str) -> None:
    """Public names and environment variables that a page names are there."""
    assert set(re.findall(r"\bMAAS_\w+", PAGES[page])) <= set(settings.VARIABLES)
    for name in set(re.findall(r"\blitellm_maas\.([a-z]\w+)", PAGES[page])):
        assert hasattr(litellm_maas, name), name


def test_every_variable_is_documented() -> None:
    """docs/configuration.md has a row for each environment variable."""
    assert set(re.findall(r"^\| `(MAAS_\w+)` \|", PAGES["docs/configuration.md"], re.MULTILINE)) == set(
        settings.VARIABLES
    )


def test_index_links_every_page() -> None:
    """docs/README.md leads to every page beside it, and the README to docs/README.md."""
    linked = set(re.findall(r"\]\((\w[\w-]*\.md)\)", INDEX))
    assert linked == {file.name for file in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert "(docs/README.md)" in README


def test_readme_is_short() -> None:
    """The README has at most 900 words and 150 lines, and the commands of a fresh clone stand in its first 20 lines."""
    assert len(README.split()) <= 900
    assert len(README.splitlines()) <= 150
    assert re.findall(r"^scripts/\w+", "\n".join(README.splitlines()[:20]), re.MULTILINE) == [
        "scripts/demo",
        "scripts/test",
    ]


@pytest.mark.parametrize(("section", "lines"), [("Install, first call, first bill", 10), ("In a LiteLLM proxy", 5)])
def test_first_steps_are_few(section: str, lines: int) -> None:
    """From the installation to the bill it takes at most ten lines, and at most five more to a proxy."""
    text = README.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    codes = re.findall(r"^```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert 0 < len([line for code in codes for line in code.splitlines() if line.strip()]) <= lines


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "CONTRIBUTING.md"])
def test_named_modules_exist(page: str) -> None:
    """Files and folders of the code that a page names are there."""
    named = re.findall(r'[`"(]((?:[\w.-]+/)+|(?:[\w.-]+/)*\w+\.(?:py|yaml))[`") ]', PAGES[page])
    assert len(named) > 4
    for path in set(named) - {"maas/"}:  # the prefix of model names
        places = (ROOT, ROOT / "litellm_maas", *(ROOT / "litellm_maas").glob("*/"))
        assert any((place / path).exists() for place in places), path
