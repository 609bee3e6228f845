"""Where the ledger is: homes that are missing, folders of one's own, and addresses that keep their secrets."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import litellm
import psycopg.conninfo
import pytest
from click.testing import CliRunner

from litellm_maas import folders, settings
from litellm_maas.cli import options
from litellm_maas.cli.app import group
from litellm_maas.errors import LedgerError, SettingsError
from litellm_maas.ledger.location import PostgresLocation, as_typed, resolve_location
from litellm_maas.ledger.periods import DEFAULT_ZONE
from litellm_maas.ledger.postgres import PostgresLedger
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Sandbox
from tests.helpers import MESSAGES, astream
from tests.ledger_files import total

ADDRESSES = [
    ("postgresql://u@h/d", "u@h/d"),
    ("postgres://u@h/d", "u@h/d"),
    ("POSTGRESQL://u:s3cret@h/d", "u@h/d"),
    ("Postgres://u:s3cret@h/d", "u@h/d"),
    ("postgresql://u:s3cret@h:5433/d?sslmode=require", "u@h:5433/d"),
    ("postgresql://u:s3cret@h/d?password=s3cret2&connect_timeout=2", "u@h/d"),
    ("postgresql://u:s3#cret@h/d", "u@h/d"),
    ("postgresql://u:s3[cret@h/d", "u@h/d"),
    ("postgresql://u:s3]cret@h/d", "u@h/d"),
    ("postgresql://u:s3?cret@h/d", "u@h/d"),
    ("postgresql://u:s3:cret@h/d", "u@h/d"),
    ("postgresql://u:s3 cret@h/d", "u@h/d"),
    ("postgresql://u:mật-s3cret@h/d", "u@h/d"),
    ("postgresql://u:s3%40cret%2F@h/d", "u@h/d"),
    ("postgresql://u%40corp:s3cret@h/d", "u@corp@h/d"),
    ("postgresql://u:s3cret@[::1]:5433/d", "u@[::1]:5433/d"),
    ("postgresql://u:s3cret@a:1,b:2/d", "u@a:1,b:2/d"),
    ("postgresql://u:s3cret@/d?host=/var/run/postgresql", "u@/var/run/postgresql/d"),
    ("postgresql://u:s3cret@%2Fvar%2Frun/d", "u@/var/run/d"),
    ("postgresql://h/d?user=u&password=s3cret", "u@h/d"),
    ("postgresql://u:s3cret@h", "u@h/u"),
    ("postgresql://h/d", "h/d"),
]


@pytest.mark.parametrize(("address", "shown"), ADDRESSES)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    """Of an address user, host and database are shown; libpq reads it as this package does, whatever the password."""
    where = resolve_location(address)
    assert isinstance(where, PostgresLocation)
    assert (where.name, str(where)) == (shown, shown)
    assert not re.search("s3.?cret", repr(where))
    libpq = psycopg.conninfo.conninfo_to_dict(where.address.get_secret_value())
    assert shown.startswith(f"{libpq['user']}@" if "user" in libpq else "h")
    for secret in filter(None, (libpq.get("password"),)):
        assert where.at.without_secrets(f"invalid token: {secret}") == "invalid token: …"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:s3@cret@h/d",
        "postgresql://u:s3/cret@h/d",
        "postgresql://u:12/s3cret@h/d",
        "postgresql://u:12?s3/cret@h/d",
        "postgresql://u:s3%cret@h/d",
        "postgresql://u:s3cret%@h/d",
        "postgresql://u:s3cret@h/d@x",
        "postgresql://u:s3cret@h:port/d",
        "postgresql://u:s3cret@h h/d",
        "jdbc:postgresql://h/d?user=u&password=s3cret",
        "JDBC:postgresql://h/d?password=s3cret",
        "postgresql:u:s3cret@h/d",
        "postgresql+psycopg://u:s3cret@h/d",
        "host=h dbname=d user=u password=s3cret",
        "user = u password = s3cret",
        "dbname=d password=s3cret",
        "PASSWORD=s3cret host=h",
        "service=mine password=s3cret",
        "mysql://u:s3cret@h/d",
        '"postgresql://u:s3cret@h/d"',
        "'postgresql://u:s3cret@h/d'",
        " MAAS_LEDGER=postgresql://u:s3cret@h/d",
    ],
)
def test_what_is_no_address_is_no_file_either(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What libpq would not connect to, or would read otherwise, is refused in a sentence that repeats no secret."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="; ") as refused:
        resolve_location(address)
    assert "cret" not in str(refused.value)
    monkeypatch.setenv("MAAS_LEDGER", address)
    for arguments in (["spend"], ["spend", "--json"], ["budget", "list"]):
        done = CliRunner().invoke(group, arguments)
        assert "cret" not in done.output + str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["ledger.db", "a=b.db", "spend:2026.db", "my hosts.db", "postgres.db", "thư mục/sổ.db"]
)
def test_paths_are_paths(name: str) -> None:
    """A file may be called almost anything."""
    assert resolve_location(name) == Path(name)


def test_a_command_to_type_next_holds_no_password() -> None:
    """Where a ledger was named on the command line, commands that are offered name it without its password."""
    address = "postgresql://u:s3cret@127.0.0.1:1/d?password=s3cret2"
    assert as_typed(address) == "postgresql://u@127.0.0.1:1/d"
    assert [as_typed(each) for each in (None, "ledger.db")] == [None, "ledger.db"]
    asked = options.parse_query(address, None, None, None, DEFAULT_ZONE)
    assert asked.command("export") == "litellm-maas spend export --ledger postgresql://u@127.0.0.1:1/d"


def test_an_error_holds_no_password() -> None:
    """Neither libpq's errors nor what is built of them repeat the password."""
    where = resolve_location("postgresql://maas:s3cret@127.0.0.1:1/x?connect_timeout=2")
    assert isinstance(where, PostgresLocation)
    with PostgresLedger(where) as ledger, pytest.raises(LedgerError, match="check that the database runs") as failed:
        ledger.last_seq()
    assert str(failed.value).startswith("maas@127.0.0.1:1/x: ")
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize(
    "other",
    [
        "postgresql://other:pass@h/d",
        "postgresql://u@h:5432/d",
        "postgres://u@h/d?sslmode=require&application_name=x",
        "postgresql://h/d?user=u",
    ],
)
def test_a_database_has_one_spool(other: str) -> None:
    """Another user, password, parameter or spelling does not make another file."""
    first, second = resolve_location("postgresql://u@h/d"), resolve_location(other)
    assert isinstance(first, PostgresLocation)
    assert isinstance(second, PostgresLocation)
    assert first.outbox_path == second.outbox_path
    for unlike in ("postgresql://u@h:5433/d", "postgresql://u@h2/d", "postgresql://u@h/d2"):
        third = resolve_location(unlike)
        assert isinstance(third, PostgresLocation)
        assert third.outbox_path != first.outbox_path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own, and no warning said so far."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    folders._say_once.cache_clear()  # noqa: SLF001 - as a new process
    return folder


def test_the_data_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MAAS_HOME holds the ledger and the spool; it may be below a home, and is an absolute path in any case."""
    monkeypatch.setenv("MAAS_HOME", str(tmp_path / "mine"))
    assert resolve_location() == tmp_path / "mine" / "ledger.db"
    spooled = resolve_location("postgresql://u@h/d")
    assert isinstance(spooled, PostgresLocation)
    assert spooled.outbox_path.parent == tmp_path / "mine"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAAS_HOME", "~/below")
    assert settings.data_folder() == tmp_path / "below"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAAS_HOME", "here")
    assert settings.data_folder() == tmp_path / "here"


def _no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def unknown(uid: int) -> Any:
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def _an_old_platformdirs(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_user(monkeypatch)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: "~/.local/share/litellm-maas")


def _a_home_below_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAAS_HOME", f"{__file__}/home")


def _a_home_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_user(monkeypatch)
    monkeypatch.setenv("MAAS_HOME", "~/home")


@pytest.mark.skipif(os.name == "nt", reason="Windows knows its users")
@pytest.mark.parametrize("missing", [_no_user, _an_old_platformdirs, _a_home_below_a_file, _a_home_that_is_not_known])
def test_a_missing_home_is_the_temporary_folder(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, missing: Any
) -> None:
    """Where there is no home, what belongs to the user is kept in the temporary folder, which one warning says."""
    missing(monkeypatch)
    for _ in range(3):
        assert resolve_location() == temporary / f"litellm-maas-{os.getuid()}" / "ledger.db"
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "Set MAAS_HOME to a folder that stays" in warning
    assert str(temporary) in warning


@pytest.mark.skipif(os.name == "nt", reason="Windows knows its users")
def test_no_home_and_no_temporary_folder(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written at all there is still a place, which nothing can be made at."""
    _no_user(monkeypatch)
    temporary.rmdir()
    temporary.touch()
    assert resolve_location() == Path("/litellm-maas/ledger.db")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make what is another's")
def test_a_temporary_folder_of_somebody_else_is_not_used(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that another user made under this user's name does not get the ledger."""
    _no_user(monkeypatch)
    trap = temporary / f"litellm-maas-{os.getuid()}"
    trap.mkdir()
    os.chown(trap, 65534, 65534)
    assert temporary not in settings.data_folder().parents


def test_a_path_below_a_home_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that begins with ~ is an error that says what to write."""
    _no_user(monkeypatch)
    with pytest.raises(SettingsError, match=r"begins with ~.*write the whole path"):
        resolve_location("~/ledger.db")


HOMELESS: dict[str, dict[str, str]] = {
    "recording": {"MAAS_TRACK_SPEND": "1"},
    "recording and a rate limit": {"MAAS_TRACK_SPEND": "1", "MAAS_RPM": "1000"},
    "a rate limit alone": {"MAAS_RPM": "1000"},
    "a database": {"MAAS_TRACK_SPEND": "1", "MAAS_LEDGER": "postgresql://u:s3cret@127.0.0.1:1/x"},
    "a password that is odd": {"MAAS_TRACK_SPEND": "1", "MAAS_LEDGER": "postgresql://u:s3[cret@127.0.0.1:1/x"},
    "an address that is none": {"MAAS_TRACK_SPEND": "1", "MAAS_LEDGER": "postgresql://u:s3@cret@127.0.0.1:1/x"},
    "keywords": {"MAAS_TRACK_SPEND": "1", "MAAS_LEDGER": "host=127.0.0.1 password=s3cret"},
    "a path below a home": {"MAAS_TRACK_SPEND": "1", "MAAS_LEDGER": "~/ledger.db"},
    "a budget": {"MAAS_TRACK_SPEND": "1", "MAAS_BUDGETS": "budgets.yaml"},
}


@pytest.mark.skipif(os.name == "nt", reason="Windows knows its users")
@pytest.mark.parametrize("case", HOMELESS)
def test_no_missing_home_stops_a_call(
    case: str,
    temporary: Path,
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without a home and a user's name calls go out, and are recorded in the temporary folder; it is said once."""
    (tmp_path / "budgets.yaml").write_text("budgets:\n  - {name: a, credits: 100000}\n")
    monkeypatch.chdir(tmp_path)
    _no_user(monkeypatch)
    for name, value in HOMELESS[case].items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        litellm.completion("maas/openai/gpt-4o", MESSAGES)
        asyncio.run(astream(model="maas/openai/gpt-4o", messages=MESSAGES))
    runtime.close()
    assert len(sandbox.requests) == 4
    assert sum("Set MAAS_HOME" in record.getMessage() for record in caplog.records) == 1
    assert not re.search("s3.?cret", caplog.text)
    if case != "a rate limit alone":
        home = temporary / f"litellm-maas-{os.getuid()}"
        (ledger,) = [*home.glob("ledger.db"), *home.glob("spool-*.db")]
        assert total(ledger) == sandbox.bill.micro_credits
    assert {file.name for file in tmp_path.iterdir()} == {"budgets.yaml", "temporary"}


@pytest.mark.skipif(os.name == "nt", reason="Windows knows its users")
@pytest.mark.parametrize(
    "arguments", [("spend",), ("budget", "list"), ("models", "--offline"), ("prices",), ("credits",)]
)
def test_the_command_line_without_a_home(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """No command breaks down where there is no home."""
    _no_user(monkeypatch)
    done = CliRunner().invoke(group, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
