"""Calls of four processes that reach PostgreSQL through pgbouncer, which gives each transaction another connection.

PostgreSQL crashes and comes back in the middle. In the end each call is in the database once, as it stands on the bill,
and the commands work through the pooler too. PGBOUNCER names the program where it is not on the path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from litellm_maas.sandbox import Sandbox
from tests.helpers import until
from tests.ledger.postgres_server import PostgresServer
from tests.proxy_process import free_port

PROCESSES, CALLS = 4, 60
WORKER = """
import sys
import litellm, litellm_maas
litellm_maas.track_spend()
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[1])):
    litellm.completion("maas/openai/gpt-4o", [{"role": "user", "content": "Xin chào"}], user=f"Nguyễn {number % 7}")
    if number == int(sys.argv[1]) // 2:
        print("half", flush=True)
        sys.stdin.readline()
"""
SETTINGS = """
[databases]
* = host=127.0.0.1 port={postgres}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = 2
server_login_retry = 1
logfile = {folder}/log
"""


@contextmanager
def pooler(program: str, server: PostgresServer, folder: Path) -> Iterator[int]:
    """The port of pgbouncer in transaction mode, with two connections for everybody."""
    port = free_port()
    folder.mkdir()
    (folder / "users.txt").write_text('"maas" "a-password"\n')
    (folder / "settings.ini").write_text(SETTINGS.format(postgres=server.port, port=port, folder=folder))
    # It refuses to run as root.
    user = 65534 if os.getuid() == 0 else None
    if user is not None:
        for each in (folder, *folder.iterdir()):
            os.chown(each, user, -1)
    process = subprocess.Popen([program, "-q", str(folder / "settings.ini")], user=user)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


def answers(address: str) -> bool:
    """Whether a database can be used."""
    try:
        with psycopg.connect(address, connect_timeout=5, prepare_threshold=None) as connection:
            connection.execute(b"SELECT 1")
    except psycopg.Error:
        return False
    return True


def spend(environment: dict[str, str], *arguments: str) -> str:
    """What `litellm-maas spend` says."""
    command = [sys.executable, "-m", "litellm_maas", "spend", *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Run, print, and exit with 0 only if the database holds what was billed."""
    program = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer")
    if program is None:
        sys.exit("pgbouncer is not installed: put it on the path, or name it in PGBOUNCER")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, Sandbox() as sandbox:
        # Other users run the servers, and nobody else can look into this folder otherwise.
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "server").mkdir()
        server = PostgresServer(folder / "server")
        server.start()
        direct = server.new_database()
        with pooler(program, server, folder / "pooler") as port:
            address = direct.replace(f":{urlsplit(direct).port}/", f":{port}/")
            until(lambda: answers(address))
            environment = {
                **os.environ,
                **sandbox.environment(),
                "MAAS_LEDGER": address,
                "MAAS_HOME": str(folder / "home"),
            }
            workers = [
                subprocess.Popen(
                    [sys.executable, "-c", WORKER, str(CALLS)],
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for _ in range(PROCESSES)
            ]
            tell(workers, "ready")
            hear(workers, "half")
            server.stop()
            tell(workers)
            server.start()
            exit_codes = [worker.wait(300) for worker in workers]
            print(spend(environment, "--by", "user").rstrip())
            checked = spend(environment, "verify").strip()
            with psycopg.connect(direct) as connection:
                statement = b"SELECT count(*), sum(micro_credits) FROM litellm_maas.current_events"
                found = connection.execute(statement).fetchone() or (0, 0)
        server.stop()
    bill = sandbox.bill.micro_credits
    print(f"{PROCESSES} processes, exit statuses {exit_codes}; {checked.rpartition(': ')[2]}")
    print(f"{found[0]} of {len(sandbox.bill.charges)} calls and {found[1]} of {bill} micro-credits are in the database")
    sys.exit(any(exit_codes) or (found[0], found[1]) != (PROCESSES * CALLS, bill))


def hear(workers: list[subprocess.Popen[str]], word: str) -> None:
    """Wait until each worker has said something."""
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == f"{word}\n"


def tell(workers: list[subprocess.Popen[str]], after: str | None = None) -> None:
    """Let the workers go on, once each of them has said something."""
    if after is not None:
        hear(workers, after)
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()


if __name__ == "__main__":
    main()
