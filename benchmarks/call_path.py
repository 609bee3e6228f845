"""Count what one recorded call enters, and measure the shape of the code: `python -m benchmarks.call_path`.

A call is made against a sandbox with spend recorded, then with a budget and a rate limit too. Counted are the modules
and the functions of `litellm_maas` that are entered from `litellm.completion` until it returns, in any thread.
"""

from __future__ import annotations

import ast
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

PACKAGE = Path(__file__).parent.parent / "litellm_maas"
BUDGETS = "budgets:\n  - {name: day, credits: 100000, per: day}\n"
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try)
_NOUN_PHRASES = (
    "The",
    "A",
    "An",
    "What",
    "Whether",
    "How",
    "Who",
    "Where",
    "Which",
    "One",
    "All",
    "Nothing",
    "Seconds",
)


def entered(work: object) -> set[CodeType]:
    """Return the functions of the package that a piece of work enters."""
    found: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            found.add(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()  # type: ignore[operator]  # a function without arguments
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return found


def counted() -> Iterator[tuple[str, int, int]]:
    """Yield what is recorded, and how many modules and functions a call of it enters."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "budgets.yaml").write_text(BUDGETS)
        os.environ.update(
            {
                "MAAS_TRACK_SPEND": "1",
                "MAAS_LEDGER": str(folder / "ledger.db"),
                "MAAS_HOME": name,
                "XDG_DATA_HOME": name,
            }
        )
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        import litellm

        import litellm_maas  # noqa: F401 - registers
        from litellm_maas.sandbox import Sandbox

        def call() -> None:
            litellm.completion(model="maas/openai/gpt-4o", messages=[{"role": "user", "content": "Xin chào"}])

        with Sandbox() as sandbox:
            os.environ.update(sandbox.environment() | {"MAAS_LEDGER": str(folder / "ledger.db")})
            for what, more in (
                ("recorded", {}),
                (
                    "with a budget and a rate limit",
                    {"MAAS_BUDGETS": str(folder / "budgets.yaml"), "MAAS_RPM": "100000"},
                ),
            ):
                os.environ.update(more)
                call()
                codes = entered(call)
                yield what, len({code.co_filename for code in codes}), len(codes)


def shape() -> Iterator[tuple[str, object]]:
    """Yield figures of the source: lines, docstrings, the longest function and the deepest nesting."""
    lines = docstrings = nouns = 0
    longest, deepest = (0, ""), (0, "")
    for file in sorted(PACKAGE.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        lines += len(text.splitlines())
        for node in ast.walk(tree):
            if isinstance(node, (*_DEFINITIONS, ast.Module)) and (found := ast.get_docstring(node)):
                docstrings += 1
                nouns += found.split(maxsplit=1)[0].rstrip(":,.") in _NOUN_PHRASES
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                where = f"{file.relative_to(PACKAGE)}:{node.name}"
                longest = max(longest, ((node.end_lineno or 0) - node.lineno + 1, where))
                deepest = max(deepest, (_depth(node), where))
    yield "lines of the package", f"{lines:,}"
    yield "docstrings that are noun phrases", f"{nouns} of {docstrings}, {nouns / docstrings:.0%}"
    yield "longest function", f"{longest[0]} lines, {longest[1]}"
    yield "deepest nesting", f"{deepest[0]} blocks, {deepest[1]}"
    yield "words of the README", len((PACKAGE.parent / "README.md").read_text(encoding="utf-8").split())


def _depth(node: ast.AST) -> int:
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        # An `elif` is no deeper than its `if`.
        inner = isinstance(child, _BLOCKS) and not (
            isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
        )
        deepest = max(deepest, _depth(child) + inner)
    return deepest


def main() -> None:
    """Print all figures."""
    for what, modules, functions in counted():
        print(f"a call, {what}: {modules} modules, {functions} functions")
    for name, figure in shape():
        print(f"{name}: {figure}")


if __name__ == "__main__":
    main()
