"""Agent frameworks against the sandbox: each in an environment of its own, with the answer as a Markdown table.

`scripts/test-agents` makes the environments; the only argument is the folder that they are in.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from litellm_maas.ledger.event import Event
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing.credits import format_credits
from litellm_maas.sandbox import Answer, Charge, Choice, Fault, Request, Sandbox, ToolCall

ROOT = Path(__file__).parent.parent.parent
FIRST, SECOND = "openai/gpt-4o", "qwen/qwen3.6-flash"
CASES = ("chat", "stream", "tools", "stream_fallback")
CITY = "Hà Nội"
# What the chat protocol has and these frameworks send; a field beyond them has leaked out of LiteLLM.
FIELDS = {"model", "messages", "stream", "stream_options", "tools", "tool_choice", "stop", "response_format"}


@dataclasses.dataclass(frozen=True)
class System:
    """A way to call models.

    Attributes:
        name: Of its function in `agent_cases`, of its environment, and in most cases of its example.
        packages: Those whose versions matter.
        streams: Whether it has streams at all.
        router: Whether it calls a router, which falls back inside streams too.
    """

    name: str
    title: str
    example: str
    packages: tuple[str, ...] = ()
    streams: bool = True
    router: bool = False
    limit: str = ""


LATE = "MidStreamFallbackError"
MIXED_UP = "'async_generator' object is not an iterator"
LIMITS = {
    LATE: "LiteLLM hands an asynchronous stream out before it is sent: `fallbacks=` of the call come too late",
    MIXED_UP: "LiteLLM answers a synchronous stream with `fallbacks=` by an asynchronous one, for every provider",
}
SYSTEMS = (
    System("python_call", "`litellm.completion`", "python_call", ("litellm",), limit=MIXED_UP),
    System("python_router", "`load_router()`", "python_router", ("litellm",), router=True),
    System("openai_agents", "OpenAI Agents SDK", "openai_agents", ("openai-agents",), limit=LATE),
    System("smolagents", "smolagents", "smolagents_router", ("smolagents",), router=True),
    System("langchain_litellm", "langchain-litellm", "langchain_litellm_router", ("langchain-litellm",), router=True),
    System("dspy", "DSPy", "dspy_program", ("dspy",), limit=LATE),
    System("crewai", "CrewAI", "crewai_crew", ("crewai",), limit=MIXED_UP),
    System("mini_swe_agent", "mini-swe-agent", "mini_swe_agent", ("mini-swe-agent",), streams=False),
)

SUBMIT = "touch was-here && echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && echo sunny"
FIELD = "[[ ## answer ## ]]\nsunny in the whole of Hà Nội\n\n[[ ## completed ## ]]"


def says(text: str) -> Answer:
    """An answer in words."""
    return Answer((Choice(text),))


def calls(tool: str, **arguments: str) -> Answer:
    """An answer that calls a tool."""
    return Answer((Choice(tool_calls=(ToolCall(tool, json.dumps(arguments)),)),))


# What the sandbox, left to itself, does not know: the notations in which some frameworks want their answers.
SCRIPTS: dict[tuple[str, str], tuple[Answer, ...]] = {
    ("smolagents", "tools"): (calls("get_weather", city=CITY), calls("final_answer", answer="sunny")),
    ("smolagents", "example"): (calls("get_weather", city=CITY), calls("final_answer", answer="sunny")),
    ("dspy", "chat"): (says(FIELD),),
    ("dspy", "stream"): (says(FIELD),),
    ("mini_swe_agent", "chat"): (says(f"```mswea_bash_command\n{SUBMIT}\n```"),),
    ("mini_swe_agent", "tools"): (calls("bash", command=SUBMIT),),
    ("mini_swe_agent", "example"): (calls("bash", command=SUBMIT),),
    ("mini_swe_agent", "unpriced"): (calls("bash", command=SUBMIT),),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """What came of one run."""

    status: int
    output: str
    errors: str
    requests: tuple[Request, ...]
    charges: tuple[Charge, ...]
    events: tuple[Event, ...]

    @property
    def outcome(self) -> dict[str, Any]:
        """What a case printed, among whatever the framework has to say."""
        found: dict[str, Any] = json.loads(next(line for line in self.output.splitlines() if line.startswith('{"')))
        return found

    def spend_problem(self) -> str | None:
        """What is wrong with what was recorded."""
        if len(self.events) != len(self.requests):
            return f"{len(self.events)} events for {len(self.requests)} requests"
        answered = [event for event in self.events if event.status == "ok"]
        if len(answered) != len(self.charges):
            return f"{len(answered)} answers recorded of {len(self.charges)} billed"
        if [event.micro_credits for event in answered] != [charge.micro_credits for charge in self.charges]:
            return "the amounts are not those of the bill"
        if len({event.session_id for event in self.events} - {None}) != 1:
            return f"sessions {sorted({str(event.session_id) for event in self.events})}"
        if any(event.usage_source != "reported" for event in answered):
            return "usage that the gateway reported is recorded as estimated"
        return None


def run(system: System, case: str, folder: Path, *, down: bool = False, **environment: str) -> Run:
    """Run a case or the example of a system; with its first model down, if asked to."""
    python = folder / system.name / "bin" / "python" if (folder / system.name).is_dir() else Path(sys.executable)
    cases = Path(__file__).parent / "in_environment" / "agent_cases.py"
    example = ROOT / "examples" / f"{system.example}.py"
    command = [str(python), *([str(example)] if case == "example" else [str(cases), system.name, case])]
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE") if name in os.environ}
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as home:
        if down:
            sandbox.faults.add(Fault(status=503, body={"message": "upstream is down"}, times=None, model=FIRST))
        sandbox.script(*SCRIPTS.get((system.name, case), ()))
        ledger = Path(home) / "ledger.db"
        settings = {"HOME": home, "MAAS_LEDGER": str(ledger), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
        quiet = {"CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_TRACING_ENABLED": "false", "MSWEA_SILENT_STARTUP": "1"}
        done = subprocess.run(
            command,
            env={**inherited, **settings, **quiet, **sandbox.environment(), **environment},
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        events: tuple[Event, ...] = ()
        if ledger.exists():
            with SqliteLedger(ledger, read_only=True) as opened:
                events = tuple(opened.events())
        return Run(done.returncode, done.stdout, done.stderr, tuple(sandbox.requests), sandbox.bill.charges, events)


def problem(ran: Run, case: str, *, down: bool) -> str | None:
    """What is wrong with a run, if anything is."""
    if ran.status != 0:
        return _last_words(ran.errors)
    served = {event.model for event in ran.events if event.status == "ok"}
    if served != {SECOND if down else FIRST}:
        return f"answered by {', '.join(sorted(served)) or 'nobody'}"
    if leaked := {name for request in ran.requests for name in request.body} - FIELDS:
        return f"{', '.join(sorted(leaked))} went to the gateway"
    if case == "example":
        return _example_problem(ran)
    found = ran.outcome
    pieces = [piece for piece in found.get("pieces", ()) if piece]
    if case in ("stream", "stream_fallback"):
        return None if len(pieces) > 1 else f"a stream in {len(pieces)} pieces"
    if not found["answer"]:
        return "no answer"
    if case == "tools" and found["cities"] != [CITY]:
        return f"the tool was called for {found['cities']}"
    tagged = all(event.tags == ("agents-tag",) and event.session_id == "agents-session" for event in ran.events)
    return None if tagged else "session and tags are not recorded"


def _example_problem(ran: Run) -> str | None:
    if not re.search(r"^answer: .*\w", ran.output, re.MULTILINE):
        return "no answer"
    said = re.search(r"^(\S+): (\d+) calls, ([\d.]+) VND, 0 calls of unknown price$", ran.output, re.MULTILINE)
    if said is None:
        return "the session's spend is not printed"
    recorded = sum(event.micro_credits or 0 for event in ran.events)
    if (int(said[2]), round(float(said[3]) * 1_000_000)) != (len(ran.events), recorded):
        return f"it says {said[0]!r}, the ledger {recorded} micro-credits in {len(ran.events)} calls"
    return None if {said[1]} == {event.session_id for event in ran.events} else "another session is recorded"


def _last_words(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (lines or errors.strip().splitlines() or ["it failed without a word"])[-1][:160]


def row(system: System, folder: Path, notes: list[str]) -> tuple[list[str], bool]:
    """The row of a system, and whether all of it is as it should be."""
    cells, sound, runs = [], True, []
    for case in ("chat", "stream", "tools", "example", "stream_fallback"):
        if "stream" in case and not system.streams:
            cells.append("has none")
            continue
        down = case in ("example", "stream_fallback")
        ran = run(system, case, folder, down=down)
        wrong = problem(ran, case, down=down)
        if case == "stream_fallback" and system.limit:
            # A limit that is gone is news, as is another failure.
            is_limit = wrong is not None and system.limit in ran.errors
            sound = sound and is_limit
            cells.append(f"no {_note(LIMITS[system.limit], notes)}" if is_limit else f"NEWS: {wrong or 'works'}")
            continue
        runs.append(ran)
        sound = sound and wrong is None
        cells.append("works" if wrong is None else f"NO: {wrong}")
    wrong = next(filter(None, (ran.spend_problem() for ran in runs)), None)
    total = sum(charge.micro_credits or 0 for ran in runs for charge in ran.charges)
    requests = sum(len(ran.requests) for ran in runs)
    cells.append(f"works: {requests} calls, {format_credits(total)}" if wrong is None else f"NO: {wrong}")
    return [system.title, _versions(system, folder), *cells], sound and wrong is None


def _note(text: str, notes: list[str]) -> str:
    if text not in notes:
        notes.append(text)
    return f"({notes.index(text) + 1})"


def _versions(system: System, folder: Path) -> str:
    environment = folder / system.name
    found = environment.glob("lib/python*/site-packages") if environment.is_dir() else None
    path = [str(each) for each in found] if found is not None else sys.path
    packages = dict.fromkeys((*system.packages, "litellm"))
    versions = {
        each.name.lower().replace("_", "-"): each.version for each in metadata.distributions(path=path) if each.name
    }
    return ", ".join(f"{name} {versions[name]}" for name in packages)


def unpriced(system: System, folder: Path) -> tuple[str, bool]:
    """What mini-swe-agent, which insists on dollars, does with a model that no list prices."""
    refused = run(system, "unpriced", folder)
    ignored = run(system, "unpriced", folder, MSWEA_COST_TRACKING="ignore_errors")
    said = "Cost must be > 0.0" in refused.errors and refused.status != 0
    recorded = [(event.status, event.basis, event.micro_credits) for ran in (refused, ignored) for event in ran.events]
    sound = said and ignored.status == 0 and recorded == [("ok", "unpriced", None)] * 2
    text = (
        "mini-swe-agent on `maas/gemini/gemini-2.5-flash`, which no list prices: "
        f"{'aborts after its first call, which is billed' if said else 'does not abort'} (`Cost must be > 0.0`); "
        f"with `MSWEA_COST_TRACKING=ignore_errors` it {'works' if ignored.status == 0 else 'fails'}. "
        f"Recorded: {', '.join(sorted({str(each[1]) for each in recorded}))}."
    )
    return text, sound


def main(folder: Path, names: Sequence[str]) -> None:
    """Run, print the table, and exit with 0 only if every cell is as it should be."""
    heads = ["system", "versions", "chat", "stream", "tools", "fallback", "fallback of a stream", "spend recorded"]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|", flush=True)
    notes: list[str] = []
    all_sound = True
    for system in SYSTEMS:
        if names and system.name not in names:
            continue
        cells, sound = row(system, folder, notes)
        all_sound = all_sound and sound
        print(f"| {' | '.join(cells)} |", flush=True)
    print("".join(f"\n({number}) {note}." for number, note in enumerate(notes, start=1)))
    mini = SYSTEMS[-1]
    if not names or mini.name in names:
        text, sound = unpriced(mini, folder)
        all_sound = all_sound and sound
        print(f"\n{text}")
    sys.exit(not all_sound)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
