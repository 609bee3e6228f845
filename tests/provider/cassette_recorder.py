"""Cassettes: how one is replayed, how it is written, and how it is read without vcrpy.

With RECORD_CASSETTES=local (a llama-server that runs for the purpose) or RECORD_CASSETTES=gateway, and with
MAAS_API_BASE and MAAS_API_KEY, the tests that replay cassettes make their calls for real and write what went over the
wire. `scripts/record` sets all of that.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import vcr  # type: ignore[import-untyped]  # vcrpy ships no types
import yaml

from tests.provider.cassette_filter import PLACEHOLDER_BASE, scrub

CASSETTES = Path(__file__).with_name("cassettes")
RECORDING = os.environ.get("RECORD_CASSETTES")

ENVIRONMENT = {"MAAS_API_BASE": PLACEHOLDER_BASE, "MAAS_API_KEY": "vn-replay-0123456789"}
"""The variables with which a call reaches the placeholder, or what is being recorded."""
if RECORDING:
    # Read on import, because no MAAS_ variable of the machine reaches a test.
    ENVIRONMENT = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}

_SECONDS_PER_CALL = 6.5
"""By default the gateway takes 10 requests a minute from an account."""


def cassette_of(scenario: str, model: str, way: str) -> Path:
    """The file of a cassette."""
    return CASSETTES / f"{scenario}.{model.replace('/', '-')}.{way}.yaml"


@contextmanager
def cassette(scenario: str, model: str, way: str) -> Iterator[Path]:
    """The file that answers the call made inside, or that is written from it while recording.

    A replay answers a request of the recorded method, address and body, and no other. A call that fails otherwise than
    its test expects leaves the file as it was.
    """
    if RECORDING == "gateway":
        time.sleep(_SECONDS_PER_CALL)
    file = cassette_of(scenario, model, way)
    with vcr.use_cassette(
        file,
        record_mode="all" if RECORDING else "none",
        match_on=("method", "uri", "body"),
        decode_compressed_response=True,
        before_save_interaction=scrub,
        drop_unused_requests=bool(RECORDING),
        record_on_exception=False,
    ) as tape:
        yield file
    assert RECORDING or tape.all_played


@dataclasses.dataclass(frozen=True)
class Exchange:
    """The one request and the one reply of a cassette."""

    request: Mapping[str, Any]
    response: Mapping[str, Any]

    @classmethod
    def of(cls, file: Path) -> Exchange:
        """The exchange in a file; an error if there are several."""
        (interaction,) = yaml.safe_load(file.read_text(encoding="utf-8"))["interactions"]
        return cls(interaction["request"], interaction["response"])

    @property
    def asked(self) -> Any:
        """The body of the request."""
        return json.loads(self.request["body"])

    @property
    def reply(self) -> Any:
        """The body of a plain reply."""
        return json.loads(self.response["body"]["string"])

    @property
    def events(self) -> list[Any]:
        """The events of a streamed reply."""
        lines = self.response["body"]["string"].splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]

    @property
    def deltas(self) -> list[Any]:
        """The deltas of a streamed reply."""
        return [choice["delta"] for event in self.events for choice in event["choices"]]
