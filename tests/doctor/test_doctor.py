from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import email.utils
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import litellm
import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from litellm_maas import settings, supported
from litellm_maas.cli import probe as probing
from litellm_maas.cli.app import group
from litellm_maas.doctor import connectivity, environment, ledger, probe, selftest, subprocesses, versions
from litellm_maas.ledger.location import resolve_location
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing.credits import format_credits
from litellm_maas.router import templates
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Fault, Limit, Sandbox
from litellm_maas.settings import RateLimit
from tests.factories import event
from tests.helpers import KEY, OTHER_KEYS
from tests.proxy_process import free_port

UTC = dt.timezone.utc
OWN_PRICE = """
format: 1
time_zone: Asia/Ho_Chi_Minh
lists: [{name: mine, from: null, to: null, source: me, models: {MODEL: {input: 7, output: 9}}}]
"""
_MAKES_A_KEY = "export MAAS_API_KEY=vn-…"


@dataclasses.dataclass
class SetUp:
    """A healthy set-up, to be broken."""

    sandbox: Sandbox
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    at_the_end: contextlib.ExitStack
    arguments: list[str] = dataclasses.field(default_factory=list)

    @property
    def ledger(self) -> Path:
        """Where the ledger is."""
        return self.folder / "ledger.db"

    def set(self, name: str, value: object) -> None:
        """Set an environment variable."""
        self.monkeypatch.setenv(name, str(value))

    def unset(self, name: str) -> None:
        """Take an environment variable away."""
        self.monkeypatch.delenv(name, raising=False)

    def answer(self, status: int, body: Any = "", **headers: str) -> None:
        """Let the gateway answer like this to the list of models."""
        self.sandbox.faults.add(Fault(times=None, operation="/models", status=status, body=body, headers=headers))

    def record(self, *events: Any) -> None:
        """Have events in the ledger."""
        with SqliteLedger(self.ledger) as ledger:
            for each in events:
                ledger.insert(each)

    def write(self, name: str, text: str) -> Path:
        """A file."""
        file = self.folder / name
        file.write_text(text, encoding="utf-8")
        return file

    def doctor(self, *arguments: str) -> Result:
        """Run the command, without the self-test, which is the same in all of these."""
        return CliRunner().invoke(group, ["doctor", "--quick", "--timeout", "1", *self.arguments, *arguments])

    def checks(self) -> list[dict[str, Any]]:
        """What it finds."""
        done = self.doctor("--json")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        found: list[dict[str, Any]] = json.loads(done.stdout)["checks"]
        assert done.exit_code == any(check["status"] == "error" for check in found)
        return found


@pytest.fixture
def setup(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SetUp]:
    """A healthy set-up with a ledger."""
    for name in list(os.environ):
        if name.startswith(("LLM_", "ANTHROPIC_", "GREENNODE_", "AI_PLATFORM_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("MAAS_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("MAAS_TRACK_SPEND", "1")
    with contextlib.ExitStack() as at_the_end:
        made = SetUp(sandbox, tmp_path, monkeypatch, at_the_end)
        made.record(event("e1", started_at=dt.datetime.now(UTC)))
        yield made


def _version(version: str) -> Callable[[SetUp], None]:
    """A LiteLLM of this version, as far as its metadata tell."""

    def install(setup: SetUp) -> None:
        metadata = setup.folder / "site" / f"litellm-{version}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: litellm\nVersion: {version}\n")
        setup.monkeypatch.syspath_prepend(str(metadata.parent))

    return install


def _set(**variables: object) -> Callable[[SetUp], None]:
    """Variables; `{url}` is the sandbox's base URL, `{folder}` the test's folder; None takes one away."""

    def change(setup: SetUp) -> None:
        for name, value in variables.items():
            if value is None:
                setup.unset(name)
            else:
                setup.set(name, str(value).format(url=setup.sandbox.url, folder=setup.folder))

    return change


def _answer(status: int, body: Any = "", **headers: str) -> Callable[[SetUp], None]:
    return lambda setup: setup.answer(status, body, **headers)


def _closed_port(setup: SetUp) -> None:
    setup.set("MAAS_API_BASE", f"http://127.0.0.1:{free_port()}/v1")


def _listening(setup: SetUp) -> socket.socket:
    listener = setup.at_the_end.enter_context(socket.create_server(("127.0.0.1", 0)))
    setup.set("MAAS_API_BASE", f"https://localhost:{listener.getsockname()[1]}/v1")
    return listener


def _serve(setup: SetUp, work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    setup.at_the_end.callback(thread.join)


def _own_certificate(setup: SetUp) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = setup.write("own.pem", (plain + certificate.public_bytes(pem)).decode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    listener = _listening(setup)

    def work() -> None:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(1)

    _serve(setup, work)


def _no_tls(setup: SetUp) -> None:
    listener = _listening(setup)

    def work() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    _serve(setup, work)


def _wrong_clock(setup: SetUp) -> None:
    then = dt.datetime.now(UTC) + dt.timedelta(hours=1, seconds=2)
    setup.answer(200, {"data": [{"id": "openai/gpt-4o"}]}, date=email.utils.format_datetime(then, usegmt=True))


def _foreign_ledger(setup: SetUp) -> None:
    setup.set("MAAS_LEDGER", setup.folder / "other.db")
    with contextlib.closing(sqlite3.connect(setup.folder / "other.db")) as connection:
        connection.execute("CREATE TABLE notes (text)")


def _newer_ledger(setup: SetUp) -> None:
    with contextlib.closing(sqlite3.connect(setup.ledger)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _ledger_without_log(setup: SetUp) -> None:
    with SqliteLedger(setup.folder / "in use.db") as in_use:
        in_use.insert(event())
        shutil.copy(setup.folder / "in use.db", setup.folder / "alone.db")
    setup.set("MAAS_LEDGER", setup.folder / "alone.db")


def _damaged_ledger(setup: SetUp) -> None:
    with contextlib.closing(sqlite3.connect(setup.ledger)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA writable_schema = ON")
        # An index that lacks its rows is what a torn write leaves.
        connection.execute("UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'corrections_by_event') WHERE name = 'events_by_time'")  # fmt: skip  # noqa: E501
        connection.commit()


def _no_sqlite(setup: SetUp) -> None:
    setup.set("MAAS_LEDGER", setup.write("text.db", "this is no database, and long enough to be looked at " * 10))


def _locked_ledger(setup: SetUp) -> None:
    connection = setup.at_the_end.enter_context(
        contextlib.closing(sqlite3.connect(setup.ledger, isolation_level=None, check_same_thread=False))
    )
    connection.execute("BEGIN IMMEDIATE")


def _file_as_folder(setup: SetUp) -> None:
    setup.set("MAAS_LEDGER", setup.write("file", "") / "ledger.db")


def _no_event(setup: SetUp) -> None:
    folder = Path(f"{setup.ledger}.outbox")
    folder.mkdir()
    (folder / "broken.json").write_text("{")


def _config(old: str, new: str) -> Callable[[SetUp], None]:
    """The shipped proxy config with a change."""

    def change(setup: SetUp) -> None:
        for name in ("proxy.yaml", "maas_models.yaml"):
            text = templates.config_file(name).read_text(encoding="utf-8")
            setup.write(name, text.replace(old, new))
        setup.set("LITELLM_MASTER_KEY", "sk-0123456789abcdef")
        setup.arguments += ["--config", str(setup.folder / "proxy.yaml")]

    return change


def _no_redis(setup: SetUp) -> None:
    setup.set("MAAS_RPM", 10)
    setup.set("MAAS_REDIS_URL", f"redis://127.0.0.1:{free_port()}")


def _slow(setup: SetUp) -> None:
    setup.arguments += ["--timeout", "9"]
    setup.sandbox.faults.add(Fault(times=None, delay=2.05))


PAYG = re.escape(settings.PAYG_BASE_URL)
BROKEN: dict[str, tuple[Callable[[SetUp], None], str, str, str]] = {
    "litellm 1.82.7": (_version("1.82.7"), "litellm", "malicious", "pip install .*!=1.107.0.*revoke"),
    "litellm 1.82.8": (_version("1.82.8"), "litellm", "malicious", "revoke every key"),
    "litellm 1.107.0": (_version("1.107.0"), "litellm", "malicious", "revoke every key"),
    "an old litellm": (_version("1.81.10"), "litellm", "1.81.10 is not supported", "pip install"),
    "litellm 2": (_version("2.0.0"), "litellm", "2.0.0 is not supported", "pip install"),
    "no key": (_set(MAAS_API_KEY=None), "key", "is not set$", _MAKES_A_KEY),
    "the key of LangChain": (
        _set(MAAS_API_KEY=None, GREENNODE_API_KEY=KEY),
        "key",
        "MAAS_API_KEY is not set, but GREENNODE_API_KEY is",
        r'^export MAAS_API_KEY="\$GREENNODE_API_KEY"$',
    ),
    "the key of the agents": (
        _set(MAAS_API_KEY=None, LLM_API_KEY=KEY),
        "key",
        "but LLM_API_KEY is",
        r'^export MAAS_API_KEY="\$LLM_API_KEY"$',
    ),
    "a key variable misspelt": (
        _set(MAAS_API_KEY=None, MAAS_KEY=KEY),
        "key",
        "but MAAS_KEY is",
        r'^export MAAS_API_KEY="\$MAAS_KEY"$',
    ),
    "a client id": (_set(MAAS_API_KEY=None, GREENNODE_CLIENT_ID="x"), "key", "not a model key", _MAKES_A_KEY),
    "a header for a key": (_set(MAAS_API_KEY=f"Bearer {KEY}"), "key", "begins with Bearer", "^export MAAS_API_KEY="),
    "a quoted key": (_set(MAAS_API_KEY=f'"{KEY}"'), "key", "quotes", "MAAS_API_KEY=vn-…"),
    "a key with a line break": (_set(MAAS_API_KEY=f"{KEY}\nx"), "key", "line break", "copy the key alone"),
    "plain http": (_set(MAAS_API_BASE="http://gateway.example/v1"), "base url", "plain http", "^write https://$"),
    "no scheme": (_set(MAAS_API_BASE="gateway.example/v1"), "base url", "does not start with https", PAYG),
    "a pasted operation": (
        _set(MAAS_API_BASE="{url}/chat/completions"),
        "base url",
        "more than a base URL",
        r"^export MAAS_API_BASE=http://127\.0\.0\.1:\d+/v1$",
    ),
    "an address in a variable nobody reads": (
        _set(MAAS_API_BASE=None, MAAS_BASE_URL="{url}"),
        "base url",
        "MAAS_BASE_URL is not read",
        r"^export MAAS_API_BASE=http://127\.0\.0\.1:\d+/v1$",
    ),
    "no such host": (_set(MAAS_API_BASE="https://gateway.invalid/v1"), "dns", "has no address", "check the spelling"),
    "an own certificate": (_own_certificate, "tls", "certificate of localhost is not accepted", "SSL_CERT_FILE"),
    "no TLS": (_no_tls, "tls", "does not speak TLS", "check the port"),
    "nobody listens": (_closed_port, "gateway", "refuses connections", "check host and port"),
    "no reply": (
        lambda setup: setup.sandbox.faults.add(Fault(times=None, hang=True)),
        "gateway",
        "no reply from .* within 1 s",
        "timeout",
    ),
    "a hang-up": (
        lambda setup: setup.sandbox.faults.add(Fault(times=None, disconnect=True)),
        "gateway",
        "broke before a reply came",
        "Try again",
    ),
    "a page instead of a list": (_answer(200, "<html><title>Welcome</title>"), "gateway", "HTML page", PAYG),
    "a redirect": (
        lambda setup: setup.sandbox.faults.add(Fault(times=None, redirect="https://elsewhere.example/")),
        "gateway",
        "redirected .* 'elsewhere.example'",
        "MAAS_API_BASE",
    ),
    "another path": (
        lambda setup: setup.set("MAAS_API_BASE", setup.sandbox.url.replace("/v1", "/api/v1")),
        "gateway",
        "404: no Route matched",
        "export MAAS_API_BASE=https://<host>/v1",
    ),
    "trouble behind the gateway": (
        _answer(503, {"message": "Gateway Auth Unavailable"}),
        "gateway",
        "503: Gateway Auth Unavailable",
        "try again in a few minutes",
    ),
    "an unknown key": (_set(MAAS_API_KEY=OTHER_KEYS[0]), "key accepted", "401: Invalid API key", "is ACTIVE"),
    "a key of another vendor": (_set(MAAS_API_KEY=OTHER_KEYS[1]), "key accepted", "does not begin with vn-", "ACTIVE"),
    "a pending key": (
        _answer(401, {"message": "API key is pending activation"}),
        "key accepted",
        "not active yet",
        "wait until the MaaS console shows it as ACTIVE",
    ),
    "a revoked key": (_answer(401, {"message": "key was revoked"}), "key accepted", "was revoked", _MAKES_A_KEY),
    "a key of the other host": (
        _answer(401, {"message": "this is a Token Plan key"}),
        "key accepted",
        "of the other kind of host",
        f"^export MAAS_API_BASE={re.escape(settings.PLAN_BASE_URL)}$",
    ),
    "an expired plan": (_answer(402, {"message": "Payment Required"}), "key accepted", "402", "Top up"),
    "a wrong clock": (_wrong_clock, "clock", "1:00:0. behind the gateway", "^sudo timedatectl set-ntp true$"),
    "no models": (_answer(200, {"data": []}), "models", "can see no models", "enable|choose"),
    "a model misspelt": (
        _config("qwen/qwen3-27b", "qwen/qwen3-72b"),
        "models",
        "qwen/qwen3-72b is not listed",
        "^write maas/qwen/qwen3-27b$",
    ),
    "a map that drops maas": (
        _config("provider: maas,", "provider: other,"),
        "config",
        "drops maas",
        r"add \{provider: maas, custom_handler: litellm_maas.maas\}",
    ),
    "another program's file": (_foreign_ledger, "ledger", "is not a ledger", "set MAAS_LEDGER to another file"),
    "a newer ledger": (_newer_ledger, "ledger", "version 99", "update litellm-maas"),
    "a damaged ledger": (_damaged_ledger, "ledger", "is damaged|malformed", "^mv |move it away"),
    "no database": (_no_sqlite, "ledger", "not a database", "move it away"),
    "a ledger without its log": (_ledger_without_log, "ledger", "its log alone.db-wal is missing", "restore a copy"),
    "a locked ledger": (_locked_ledger, "ledger", "is locked by another program", "fuser -v"),
    "a ledger in a file": (_file_as_folder, "ledger", "is not a writable folder", "^export MAAS_LEDGER="),
    "a ledger nowhere": (_set(MAAS_LEDGER="mysql://host/x"), "ledger", "cannot be kept at mysql", "postgresql://"),
    "a database that is down": (
        lambda setup: setup.set("MAAS_LEDGER", f"postgresql://a:secret@127.0.0.1:{free_port()}/x"),
        "ledger",
        "refused|failed",
        "check that the database runs",
    ),
    "a file that is no event": (_no_event, "outbox", "outbox files are unreadable", r"^rm .*broken\.json$"),
    "a rate limit by words": (_set(MAAS_RPM="ten"), "rate limit", "MAAS_RPM is 'ten'", "such as 10"),
    "no Redis": (
        _no_redis,
        "rate limit",
        "cannot be used",
        "check MAAS_REDIS_URL",
    ),
    "a limit that is none": (
        _set(MAAS_CREDITS_WARN_BELOW="1.530"),
        "settings",
        "MAAS_CREDITS_WARN_BELOW",
        "write 1530 for the first",
    ),
    "prices with a mistake": (
        lambda setup: setup.set("MAAS_PRICES", setup.write("own.yaml", "format: 2\n")),
        "prices",
        "own.yaml:1",
        "unset MAAS_PRICES",
    ),
    "budgets with a mistake": (
        lambda setup: setup.set("MAAS_BUDGETS", setup.write("own.yaml", "budgets: [{name: a, credits: -1}]\n")),
        "budgets",
        "own.yaml:1",
        "unset MAAS_BUDGETS",
    ),
}


@pytest.mark.process
@pytest.mark.parametrize("what", BROKEN)
def test_each_broken_set_up_has_its_own_red_line(setup: SetUp, what: str) -> None:
    """Whatever is broken, one red line names it, with the exact thing to do, and nothing else is red."""
    break_it, name, says, mend = BROKEN[what]
    break_it(setup)
    found = setup.checks()
    reds = [check for check in found if check["status"] == "error"]
    named = [check for check in reds if check["name"] == name]
    assert named, found
    assert re.search(says, named[0]["message"]), named
    assert re.search(mend, named[0]["fix"]), named
    # Where one cause shows in two places, both say so.
    also = {"a map that drops maas": {"models"}, "a rate limit by words": {"settings"}, "no models": {"config"}}
    also |= {"an address in a variable nobody reads": {"dns"}}
    assert {check["name"] for check in reds} <= {name} | also.get(what, set()), reds


def test_a_healthy_set_up(setup: SetUp) -> None:
    """Where everything is right every line is green, the exit status is 0, and no key is shown."""
    found = setup.checks()
    assert [check for check in found if check["status"] != "ok"] == []
    done = setup.doctor()
    assert done.exit_code == 0
    assert [line[:1] for line in done.stdout.splitlines()[:-2]] == ["✓"] * len(found)
    assert done.stdout.splitlines()[-2:] == ["", "Everything is all right."]
    assert {check["name"] for check in found} >= {"python", "litellm", "key", "base url", "dns", "tls", "gateway"}


@pytest.mark.process
def test_the_whole_command(sandbox: Sandbox, tmp_path: Path) -> None:
    """With the self-test, as a user runs it: all ok; a program of the same name as LiteLLM is an error."""
    command = [str(Path(sys.executable).with_name("litellm-maas")), "doctor", "--json"]
    environment = {**os.environ, **sandbox.environment(), "XDG_DATA_HOME": str(tmp_path), "MAAS_RPM": "10"}
    environment["MAAS_TRACK_SPEND"] = "1"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert [check for check in checks.values() if check["status"] != "ok"] == []
    assert checks["callback"]["message"].startswith("fires")
    assert done.returncode == 0
    (tmp_path / "litellm.py").write_text("")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["provider"]["status"] == "error"
    assert checks["provider"]["fix"] == (
        "rename your own file litellm.py (or litellm_maas.py): Python takes it for the package"
    )
    assert checks["callback"]["status"] == "skipped"
    assert done.returncode == 1


@pytest.mark.process
def test_a_program_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A self-test that hangs is given up."""
    monkeypatch.setattr(subprocesses, "_PATIENCE", 0.1)
    process = subprocess.Popen(
        [sys.executable, "-c", "import threading; threading.Event().wait()"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    found = list(subprocesses.self_test(process))
    assert [check.status for check in found] == ["error", "skipped"]
    assert "did not end" in found[0].message


def test_a_malicious_litellm_is_not_loaded(setup: SetUp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-test would run what steals keys, so it is not started."""
    _version("1.82.8")(setup)
    monkeypatch.setattr(subprocesses, "start_self_test", lambda: pytest.fail("it was started"))
    done = CliRunner().invoke(group, ["doctor", "--json", "--timeout", "1"])
    assert done.exit_code == 1
    assert not {check["name"] for check in json.loads(done.stdout)["checks"]} & {"provider", "callback"}


def test_what_the_self_test_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-test tells a LiteLLM that lost the provider, that calls no callback, and one that works, apart."""
    (tmp_path / "a").mkdir()
    assert [check.status for check in selftest.checks()] == ["ok", "ok"]
    litellm.custom_provider_map = []
    assert selftest.provider().fix == "call litellm_maas.register()"
    monkeypatch.setattr(litellm, "completion", lambda **call: None)
    monkeypatch.setattr(selftest, "_PATIENCE", 0.01)
    silent = selftest.callback(tmp_path / "a")
    assert (silent.status, silent.message) == ("error", "LiteLLM does not call the cost callback")


def test_a_callback_that_records_nonsense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback that does not record what it should is red."""
    (tmp_path / "own.yaml").write_text("format: 2\n")
    monkeypatch.setenv("MAAS_PRICES", str(tmp_path / "own.yaml"))
    assert selftest.callback(tmp_path).message == "the cost callback recorded [('ok', 'unpriced')] of one priced call"


def test_no_litellm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where LiteLLM is not installed, the command that installs it is said."""
    monkeypatch.setattr(sys, "path", [])
    found = versions.litellm()
    assert found.message.startswith("is not installed")
    assert f'pip install "{supported.REQUIREMENT}"' in (found.fix or "")


def test_an_old_python() -> None:
    """A Python that is too old is red."""
    assert versions.python((3, 9, 18)).status == "error"
    assert versions.python().status == "ok"


VENDOR = {
    "401": (_set(MAAS_API_KEY=OTHER_KEYS[0]), [], "key accepted", "401"),
    "404 without /v1": (
        lambda setup: setup.set("MAAS_API_BASE", setup.sandbox.url.removesuffix("/v1")),
        [],
        "base url",
        "does not end in /v1; .* 404",
    ),
    "model not responding": (
        lambda setup: setattr(setup.sandbox.account, "balance", 0),
        ["--probe", "--yes", "openai/gpt-4o"],
        "probe openai/gpt-4o",
        "503: model not responding",
    ),
    "base URL variable not recognised": (
        _set(MAAS_API_BASE=None, OPENAI_BASE_URL="{url}"),
        [],
        "base url",
        "OPENAI_BASE_URL is not read, and MAAS_API_BASE is not set",
    ),
    "response parse error from a doubled /v1": (
        lambda setup: setup.set("MAAS_API_BASE", f"{setup.sandbox.url}/v1"),
        [],
        "base url",
        "has /v1 twice; .* cannot parse",
    ),
}


@pytest.mark.parametrize("row", VENDOR)
def test_the_vendors_table_of_troubles(setup: SetUp, row: str) -> None:
    """Each row of the vendor's troubleshooting table really happens here, and is called by its name."""
    break_it, arguments, name, says = VENDOR[row]
    break_it(setup)
    if row in ("404 without /v1", "response parse error from a doubled /v1"):
        # What a program meets that uses the variable as it is written.
        address = f"{os.environ['MAAS_API_BASE']}/chat/completions"
        reply = httpx.post(address, headers={"authorization": f"Bearer {KEY}"}, json={}, trust_env=False)
        assert reply.status_code == 404
        assert "choices" not in reply.text
    done = setup.doctor("--json", *arguments)
    reds = {check["name"]: check for check in json.loads(done.stdout)["checks"] if check["status"] == "error"}
    assert re.search(says, reds[name]["message"]), reds
    assert reds[name]["fix"]
    assert done.exit_code == 1


def test_addresses_of_others_that_mean_nothing_here(setup: SetUp) -> None:
    """Base URLs of other vendors, and what is no address, are nobody's business here."""
    setup.unset("MAAS_API_BASE")
    setup.set("OPENAI_BASE_URL", "https://api.openai.com/v1")
    setup.set("LLM_BASE_URL", "ftp://x")
    setup.set("ANTHROPIC_BASE_URL", settings.PAYG_BASE_URL.removesuffix("/v1"))
    base_url, _ = environment.base_url()
    assert base_url.status == "ok"


YELLOW: dict[str, tuple[Callable[[SetUp], None], str, str]] = {
    "a variable misspelt": (_set(MAAS_PRICE="x"), "settings", "did you mean MAAS_PRICES"),
    "a variable of nobody": (_set(MAAS_FROBNICATE="x"), "settings", "unset MAAS_FROBNICATE"),
    "a ledger for all to read": (lambda setup: setup.ledger.chmod(0o644), "ledger", "chmod 600"),
    "a model that was refused": (
        lambda setup: setup.record(
            event("no", None, status="failed", http_status=403, started_at=dt.datetime.now(UTC))
        ),
        "last attempts",
        "enable",
    ),
    "a model without a price": (_config("unpriced: true", "unpriced: false"), "model prices", "MAAS_PRICES"),
    "too many requests": (_answer(429, {"message": "API rate limit exceeded"}), "key accepted", "10 requests"),
    "a slow gateway": (
        _slow,
        "gateway",
        "network",
    ),
    "a clock that is a little wrong": (
        lambda setup: setup.answer(
            200,
            {"data": [{"id": "openai/gpt-4o"}]},
            date=email.utils.format_datetime(dt.datetime.now(UTC) - dt.timedelta(minutes=1), usegmt=True),
        ),
        "clock",
        "timedatectl",
    ),
}


@pytest.mark.process
@pytest.mark.parametrize("what", YELLOW)
def test_what_is_worth_a_look(setup: SetUp, what: str) -> None:
    """What works and is not quite right is yellow, with what to do, and no reason to exit with 1."""
    change, name, mend = YELLOW[what]
    change(setup)
    found = {check["name"]: check for check in setup.checks()}
    assert found[name]["status"] == "warning", found
    assert mend in found[name]["fix"]
    assert not [check for check in found.values() if check["status"] == "error"]


def test_every_setting_that_is_wrong_has_a_line(setup: SetUp) -> None:
    """All settings that cannot be used are said at once, and a base URL's variable misspelt is called one."""
    for name in ("MAAS_CREDITS_WARN_HOURS", "MAAS_LEDGER_SYNC", "MAAS_BASE_URL"):
        setup.set(name, "x")
    found = [check for check in setup.checks() if check["name"] == "settings"]
    assert [check["message"] for check in found] == [
        "MAAS_LEDGER_SYNC is 'x'",
        "MAAS_CREDITS_WARN_HOURS is 'x'",
        "MAAS_BASE_URL is not read by litellm-maas",
    ]
    assert found[-1]["fix"] == "did you mean MAAS_API_BASE?"


def test_an_id_that_never_worked_is_not_in_use(setup: SetUp) -> None:
    """A mistyped id of a program's is yellow, with the id that was meant; one that only a probe tried is nobody's."""
    wrong = {"status": "failed", "http_status": 404, "started_at": dt.datetime.now(UTC)}
    setup.record(event("e2", None, **wrong, model="openai/gpt-4oo", tags=("doctor",)))
    assert {check["status"] for check in setup.checks()} == {"ok"}
    setup.record(event("e3", None, **wrong, model="gpt-4o"))
    found = {check["name"]: check for check in setup.checks()}
    assert not [check for check in found.values() if check["status"] == "error"]
    assert found["last attempts"]["message"] == "refused at the last attempt in the ledger: gpt-4o (no: 404)"
    assert found["last attempts"]["fix"] == "gpt-4o is not listed; if it is still used, write maas/openai/gpt-4o"


def test_a_model_that_went_away(setup: SetUp) -> None:
    """A model that answered lately and is not listed is worth a look: it may be another key's."""
    setup.record(event("e2", started_at=dt.datetime.now(UTC), model="glm-5.2"))
    found = {check["name"]: check for check in setup.checks()}
    assert found["models"]["status"] == "warning"
    assert (
        found["models"]["message"]
        == "glm-5.2 was called recently according to the ledger, but is not listed for this key"
    )
    assert found["models"]["fix"] == "if it is still used, write maas/z-ai/glm-5.2"


def test_a_check_that_breaks_down(setup: SetUp, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that fails itself is one red line without the error's text, and the other checks are made."""

    def broken(*_: Any) -> Any:
        raise RuntimeError(KEY)

    monkeypatch.setattr(environment, "others", broken)
    monkeypatch.setattr(connectivity, "check_connection", broken)
    found = {check["name"]: check for check in setup.checks()}
    assert [name for name, check in found.items() if check["status"] == "error"] == ["gateway", "settings"]
    assert found["gateway"]["message"] == "the check itself failed (RuntimeError)"
    assert "litellm-maas doctor --json" in found["settings"]["fix"]
    assert KEY not in json.dumps(found)


def test_slots_that_are_blocked(setup: SetUp) -> None:
    """Where the gateway asked to wait, and the rate limiter does, that is said."""
    setup.set("MAAS_RPM", 10)
    assert {check["name"]: check["status"] for check in setup.checks()}["rate limit"] == "ok"
    setup.set("MAAS_RPM_MAX_WAIT", 1)
    setup.sandbox.account.per_minute = Limit(1, 60.0)
    done = setup.doctor("--probe", "--yes", "openai/gpt-4o", "--json")
    probe = json.loads(done.stdout)["probes"][0]
    assert (probe["tools"], probe["json_mode"]) == ("not known: the account's limit", None)
    (limit,) = (check for check in setup.checks() if check["name"] == "rate limit")
    assert limit["status"] == "warning"
    assert re.search(r"blocked for \d+ s", limit["message"])


def test_events_that_wait_are_recorded(setup: SetUp) -> None:
    """What waited beside the ledger is in it afterwards."""
    folder = Path(f"{setup.ledger}.outbox")
    folder.mkdir()
    (folder / "e2.json").write_text(event("e2").as_json())
    assert {check["name"]: check["status"] for check in setup.checks()}["outbox"] == "ok"
    with SqliteLedger(setup.ledger, read_only=True) as ledger:
        assert ledger.last_seq() == 2


def test_a_ledger_in_the_temporary_folder(setup: SetUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no home, the doctor says where spend is recorded and how to choose a place that stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("MAAS_LEDGER")
    monkeypatch.setenv("MAAS_HOME", f"{__file__}/home")
    for _ in range(2):
        (check,) = [each for each in ledger.ledger() if each.name == "ledger"]
        assert (check.status, check.fix) == ("warning", "set MAAS_HOME to a folder that stays")
        assert str(tmp_path) in check.message
        SqliteLedger(resolve_location()).close()  # type: ignore[arg-type]  # it is a path


def test_no_ledger_is_made(setup: SetUp) -> None:
    """Looking makes no file."""
    setup.set("MAAS_LEDGER", setup.folder / "new" / "ledger.db")
    found = {check["name"]: check for check in setup.checks()}
    assert "will be created by the first recorded call" in found["ledger"]["message"]
    assert not (setup.folder / "new").exists()


def test_a_ledger_in_postgres(setup: SetUp, database: str) -> None:
    """A ledger in PostgreSQL has a line, the file in front of it another; the password is in neither."""
    setup.set("MAAS_LEDGER", database)
    done = setup.doctor()
    assert done.exit_code == 0, done.stdout
    assert re.search(r"✓ ledger .*maas@127.0.0.1", done.stdout)
    assert "✓ spool" in done.stdout
    assert "a-password" not in done.stdout


def test_a_proxy_on_the_way(setup: SetUp) -> None:
    """Behind an HTTP proxy names and TLS are its business; a refusal of it is red, and its password not shown."""
    setup.set("MAAS_API_BASE", "https://gateway.invalid/v1")
    setup.set("HTTPS_PROXY", f"http://me:secret@127.0.0.1:{free_port()}")
    found = {check["name"]: check for check in setup.checks()}
    assert found["dns"]["message"] == "left to the proxy 127.0.0.1"
    assert found["gateway"]["status"] == "error"
    assert "secret" not in json.dumps(found)


def test_a_probe_shows_what_a_model_does(setup: SetUp) -> None:
    """A probe is three small calls; what they cost is what the sandbox billed, and is in the ledger."""
    done = setup.doctor("--probe", "--yes", "--json", "maas/openai/gpt-4o", "qwen/qwen3-embedding-8b")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    chat, embedding = found["probes"]
    assert chat["stream_usage"] is True
    assert (chat["tools"], chat["json_mode"], chat["calls"]) == ("yes", "yes", 3)
    assert {"prompt_tokens", "completion_tokens"} <= set(chat["usage_fields"])
    assert 0 < chat["first_token"] <= chat["latency"]
    assert (embedding["calls"], embedding["stream_usage"]) == (1, None)
    billed = setup.sandbox.bill.micro_credits
    assert chat["micro_credits"] + embedding["micro_credits"] == billed > 0
    with SqliteLedger(setup.ledger, read_only=True) as ledger:
        events = [each for each in ledger.events() if each.tags == ("doctor",)]
    assert sum(each.micro_credits or 0 for each in events) == billed
    assert f"The probes cost {format_credits(billed)}" in done.stderr
    most = re.search(r"Probing 2 models costs at most ([\d.]+) VND\.", done.stderr)
    assert most is not None
    assert float(most.group(1)) * 1_000_000 >= billed
    line = setup.doctor("--probe", "--yes", "openai/gpt-4o").stdout.splitlines()[-3]
    assert re.search(r"first token \d+ ms, usage .*streams carry usage: yes, tools: yes, JSON mode: yes, 3 calls", line)


def test_a_probe_asks_first(setup: SetUp) -> None:
    """Nothing is called before somebody says yes; without a model those in use are probed."""
    arguments = ["doctor", "--quick", "--probe"]
    done = CliRunner().invoke(group, arguments, input="n\n")
    assert done.exit_code == 1
    assert "Probing 1 model costs at most" in done.stderr
    assert [request.path for request in setup.sandbox.requests] == ["/v1/models"]
    assert CliRunner().invoke(group, arguments, input="y\n").exit_code == 0
    assert setup.sandbox.requests[-1].body["model"] == "openai/gpt-4o"


def test_what_a_probe_finds_wrong(setup: SetUp) -> None:
    """A model that does not answer is red; one that refuses tools or keeps its usage to itself is told so."""
    setup.sandbox.account.missing_models.add("openai/gpt-4o")
    done = setup.doctor("--probe", "--yes", "openai/gpt-4o", "qwen/qwen3-27b", "--json")
    assert done.exit_code == 1
    missing, unpriced = json.loads(done.stdout)["probes"]
    assert missing["failure"] == {"status": 404, "reason": "model not found: openai/gpt-4o"}
    assert unpriced["micro_credits"] is None
    assert "and what 1 of them cost is not known" in done.stderr
    assert "and 1 model without a price" in done.stderr
    listed = CliRunner().invoke(group, ["models", "--json"])
    rows = {row["id"]: row for row in json.loads(listed.stdout)}
    assert rows["openai/gpt-4o"]["callable"] == "no: 404"
    assert rows["qwen/qwen3-27b"]["callable"] == "yes"
    assert rows["openai/gpt-4o-mini"]["callable"] == "unknown"
    chunk = {"id": "a", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
    silent = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
    replies: list[tuple[int, Any]] = [
        (200, silent),
        (400, {"message": "no tools"}),
        (200, {"id": "b", "choices": [{"message": {"content": "text"}}]}),
    ]
    for status, body in replies:
        setup.sandbox.faults.add(Fault(status=status, body=body, operation="/chat/completions"))
    done = setup.doctor("--probe", "--yes", "--json", "openai/gpt-4o-mini")
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    probe = found["probe openai/gpt-4o-mini"]
    assert probe["status"] == "warning"
    assert "usage missing, streams carry usage: no, tools: no: 400, JSON mode: no JSON came" in probe["message"]


def test_a_probe_without_a_key(setup: SetUp) -> None:
    """Without a key nothing is probed, and that is said."""
    setup.unset("MAAS_API_KEY")
    done = setup.doctor("--probe", "--yes")
    assert done.exit_code == 1
    assert "set MAAS_API_KEY" in str(done.exception)


def test_models_are_named_for_a_probe(setup: SetUp) -> None:
    """A model without --probe is a mistake that is said."""
    assert setup.doctor("openai/gpt-4o").exit_code == 2


@pytest.mark.process
def test_a_config_that_is_right(setup: SetUp) -> None:
    """The shipped config is green, its models are listed, and their missing prices acknowledged."""
    _config("nothing", "nothing")(setup)
    found = setup.checks()
    assert [check for check in found if check["status"] != "ok"] == []
    assert [check["name"] for check in found][-1] == "config"


@pytest.mark.process
def test_a_config_that_cannot_be_read(setup: SetUp) -> None:
    """A config that is no YAML is red with its line; without LiteLLM it is not looked at."""
    setup.arguments += ["--config", str(setup.write("proxy.yaml", "model_list: ["))]
    reds = [check for check in setup.checks() if check["status"] == "error"]
    assert {check["name"] for check in reds} == {"config"}
    assert "proxy.yaml" in reds[0]["message"]
    _version("1.82.7")(setup)
    (config,) = (check for check in setup.checks() if check["name"] == "config")
    assert config["status"] == "skipped"


def listed() -> dict[str, Any]:
    """What `models` says of each model that the key sees."""
    return {row["id"]: row for row in json.loads(CliRunner().invoke(group, ["models", "--json"]).stdout)}


def test_probed_models_are_callable_or_not(setup: SetUp) -> None:
    """`models` says which models answered when they were probed last."""
    setup.set("MAAS_RPM", 0)
    setup.sandbox.account.disabled_models.add("openai/gpt-4o")
    done = setup.doctor("--probe", "--yes", *listed(), "--json")
    assert "It takes about" not in done.stderr
    rows = listed()
    assert rows.pop("openai/gpt-4o")["callable"] == "no: 403"
    assert {row["callable"] for row in rows.values()} == {"yes"}
    assert {row["type"] for row in rows.values()} >= {"chat", "embedding"}
    table = CliRunner().invoke(group, ["models"], env={"COLUMNS": "80"}).stdout
    assert re.search(r"openai/gpt-4o .* no: 403 *\n", table)
    assert "Not shown at 80 columns: takes. Widen the terminal, or use --json." in table
    narrow = CliRunner().invoke(group, ["models"], env={"COLUMNS": "44"}).stdout
    assert "Not callable at the last attempt: openai/gpt-4o (no: 403)." in " ".join(narrow.split())
    setup.set("MAAS_PRICES", setup.write("own.yaml", OWN_PRICE.replace("MODEL", "qwen/qwen3-27b")))
    table = CliRunner().invoke(group, ["models"], env={"COLUMNS": "80"}).stdout
    assert re.search(r"qwen/qwen3-27b .* custom +yes *\n", table)
    assert "Not shown at 80 columns: takes." in table
    wide = CliRunner().invoke(group, ["models"], env={"COLUMNS": "120"}).stdout
    assert re.search(r"openai/gpt-4o .* official +no: 403", wide)


def test_probes_are_paced_by_the_accounts_limit(setup: SetUp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MAAS_RPM probes keep to the documented limit, say how long that takes, and none is refused."""
    assert probing._LIMIT.requests == 10  # noqa: SLF001 - the limit that is documented
    setup.sandbox.account.per_minute = Limit(5, 0.2)
    monkeypatch.setattr(probing, "_LIMIT", RateLimit(5, seconds=0.2, margin=0.1))
    models = list(listed())[:4]
    done = setup.doctor("--probe", "--yes", *models, "--json")
    assert {listed()[model]["callable"] for model in models} == {"yes"}
    minutes = -(-3 * len(models) // 5) - 1
    assert f"It takes about {minutes} minutes: the account's limit is 5 requests a minute (MAAS_RPM)." in done.stderr
    assert runtime.rate_limit is None


@pytest.mark.parametrize("retry_after", [True, False])
def test_a_refusal_by_the_limit_is_no_answer(setup: SetUp, monkeypatch: pytest.MonkeyPatch, retry_after: bool) -> None:
    """A 429 is waited for and asked again; where it stays, whether the model answers is not known."""
    waits: list[float] = []
    setup.set("MAAS_RPM", 0)
    monkeypatch.setattr(probe, "_sleep", waits.append)
    headers = {"retry-after": "7"} if retry_after else {}
    refusal = Fault(status=429, body={"message": "API rate limit exceeded"}, headers=headers, model="openai/gpt-4o")
    setup.sandbox.faults.add(dataclasses.replace(refusal, times=2))
    done = setup.doctor("--probe", "--yes", "openai/gpt-4o", "--json")
    assert json.loads(done.stdout)["probes"][0]["tools"] == "yes"
    assert waits == [7.0, 7.0] if retry_after else [60.0, 60.0]
    setup.sandbox.faults.add(dataclasses.replace(refusal, times=None))
    done = setup.doctor("--probe", "--yes", "openai/gpt-4o", "--json")
    # As the ledger knows: it answered a moment ago.
    assert listed()["openai/gpt-4o"]["callable"] == "yes"
    assert "1 model could not be probed because of the account's rate limit: openai/gpt-4o." in done.stderr
    (check,) = (each for each in json.loads(done.stdout)["checks"] if each["name"] == "probe openai/gpt-4o")
    assert check["status"] == "warning"
    assert "whether it answers is not known" in check["message"]


def test_models_with_own_prices_and_no_ledger(setup: SetUp) -> None:
    """`models` prices by the user's own file, and goes on where the ledger cannot be read."""
    setup.set("MAAS_PRICES", setup.write("own.yaml", OWN_PRICE.replace("MODEL", "openai/gpt-4o")))
    _no_sqlite(setup)
    done = CliRunner().invoke(group, ["models", "--json"])
    assert done.exit_code == 0, done.output
    row = next(row for row in json.loads(done.stdout) if row["id"] == "openai/gpt-4o")
    assert row["price"] == {"input": 7.0, "cached": None, "output": 9.0}
    assert (row["price_basis"], row["callable"]) == ("custom", "unknown")
    assert "Unknown which models can be called" in done.stderr


def test_every_variable_is_known() -> None:
    """Each variable that is read anywhere is one that the doctor knows."""
    package = Path(settings.__file__).parent
    read = {name for file in package.rglob("*.py") for name in re.findall(r'_value\("(MAAS_\w+)"\)', file.read_text())}
    assert read == set(settings.VARIABLES)


def _by_name(setup: SetUp) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in setup.checks()}


def test_models_of_the_ledger_without_a_price(setup: SetUp) -> None:
    """Models that programs call, and that no list prices, are named; without any model in use nothing is claimed."""
    now = dt.datetime.now(UTC)
    setup.record(event("e2", None, model="qwen/qwen3-27b", started_at=now))
    found = _by_name(setup)["model prices"]
    assert (found["status"], "no price is known for qwen/qwen3-27b" in found["message"]) == ("warning", True)
    setup.set("MAAS_LEDGER", setup.folder / "new.db")
    checks = _by_name(setup)
    assert [checks[name]["message"] for name in ("model prices", "last attempts")] == ["no models in use yet"] * 2


@pytest.mark.process
def test_prices_that_a_config_says_are_missing(setup: SetUp) -> None:
    """Of the models of a config it is said how many have a price, and which are acknowledged to have none."""
    _config("nothing", "nothing")(setup)
    found = _by_name(setup)["model prices"]
    assert found["status"] == "ok"
    assert re.match(
        r"known for \d of \d models in use; the config says of .*qwen/qwen3-27b.* that there is none", found["message"]
    )


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (_set(MAAS_API_KEY=None), "key"),
        (_set(MAAS_API_BASE="http://127.0.0.1:1/v1"), "gateway"),
        (_set(MAAS_API_BASE="ftp://x"), "base url"),
    ],
)
def test_what_is_skipped_says_what_comes_first(setup: SetUp, change: Callable[[SetUp], None], because: str) -> None:
    """A check that waits for another one names that one, which is red."""
    change(setup)
    found = _by_name(setup)
    assert (found["models"]["message"], found["models"]["status"]) == (f"skipped, because of {because}", "skipped")
    assert found[because]["status"] == "error"


@pytest.mark.parametrize(("base", "says"), [(None, False), ("https://maas.invalid/v1", True)])
def test_a_host_without_an_address(setup: SetUp, monkeypatch: pytest.MonkeyPatch, base: str | None, says: bool) -> None:
    """Where no name is found, MAAS_API_BASE is only spoken of if it is set."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    _set(MAAS_API_BASE=base)(setup)
    found = _by_name(setup)["dns"]
    assert found["status"] == "error"
    assert ("MAAS_API_BASE" in found["fix"]) is says


@pytest.mark.process
def test_whether_spend_is_recorded(setup: SetUp) -> None:
    """It is said whether programs in this environment record their spend, by the variable or by a config's callback."""
    assert _by_name(setup)["recording"]["status"] == "ok"
    setup.unset("MAAS_TRACK_SPEND")
    found = _by_name(setup)["recording"]
    assert (found["status"], found["fix"]) == ("warning", "export MAAS_TRACK_SPEND=1")
    _config("nothing", "nothing")(setup)
    assert "has the callback" in _by_name(setup)["recording"]["message"]
    _config("litellm_maas.spend_logger", "others.logger")(setup)
    assert "has no callback litellm_maas.spend_logger" in _by_name(setup)["recording"]["message"]


@pytest.mark.process
def test_a_finding_says_its_fix_once(setup: SetUp) -> None:
    """What is to be done about a finding in a config stands in its own line alone."""
    _config("model: maas/openai/gpt-4o", "model: maas/openai/gpt-4o\n      api_key: os.environ/NO_SUCH_KEY")(setup)
    findings = [check for check in setup.checks() if check["name"] == "config" and check["fix"]]
    assert findings
    assert not [check for check in findings if check["fix"] in check["message"]]


def test_odd_prices_are_worth_a_look(setup: SetUp) -> None:
    """A price file that is sound and unlike the official prices is yellow, with the command that shows it."""
    file = setup.write(
        "own.yaml", OWN_PRICE.replace("MODEL", "gpt-4o").replace("7, output: 9", "70000, output: 280000")
    )
    setup.set("MAAS_PRICES", file)
    found = _by_name(setup)["prices"]
    assert (found["status"], found["fix"]) == ("warning", f"litellm-maas prices check {file}")
    assert "did you mean openai/gpt-4o?" in found["message"]


def test_the_last_line_counts(setup: SetUp) -> None:
    """The last line says how many checks found what; what is skipped has no line of its own to do."""
    setup.unset("MAAS_API_KEY")
    lines = setup.doctor().stdout.splitlines()
    checks = setup.checks()
    errors, skipped = (
        sum(check[name] == value for check in checks) for name, value in (("status", "error"), ("status", "skipped"))
    )
    assert lines[-1] == f"{errors} error, 0 warnings, {skipped} skipped, {len(checks) - errors - skipped} ok."
    assert not [line for line in lines if "first" in line]


@pytest.mark.process
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_lines_are_cut_between_words(setup: SetUp, columns: int) -> None:
    """On a terminal no word is cut in two; what is to be typed stays in one line."""
    import pty

    setup.set("COLUMNS", columns)
    setup.set("TERM", "xterm")
    setup.set("NO_COLOR", "1")
    parent, child = pty.openpty()
    command = [str(Path(sys.executable).with_name("litellm-maas")), "doctor", "--quick", "--timeout", "1"]
    with subprocess.Popen(command, stdout=child, stderr=subprocess.DEVNULL) as process:
        os.close(child)
        out = b""
        with contextlib.suppress(OSError):  # what Linux says at the end
            while part := os.read(parent, 100_000):
                out += part
        process.wait(60)
    os.close(parent)
    lines = out.decode().splitlines()
    (start,) = [number for number, line in enumerate(lines) if "rate limit" in line]
    assert " ".join(" ".join(lines[start:-2]).split()).endswith("(MAAS_RPM=10 keeps it)")
    assert not [line for line in lines if line.rstrip().endswith("MAAS_")]
    assert max(len(line) for line in lines[start:]) <= columns
