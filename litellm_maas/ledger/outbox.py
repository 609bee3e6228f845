"""Queue events that could not be written to a ledger, each a file beside it or in the temporary folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from litellm_maas import folders
from litellm_maas.ledger.event import Event


class Outbox:
    """The outbox of one ledger, shared by all processes of this user.

    Args:
        ledger: The ledger's file.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger

    def add(self, event: Event) -> Path | None:
        """Queue an event, and return in which folder; None where neither can be written."""
        for folder in self._folders(make=True):
            part = folder / f"{event.event_id}.part"
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                part.write_text(event.as_json(), encoding="utf-8")
                part.replace(folder / f"{event.event_id}.json")
            except OSError:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)
                continue
            return folder
        return None

    def files(self) -> Iterator[Path]:
        """Yield the files of the queued events."""
        for folder in self._folders():
            with contextlib.suppress(PermissionError):
                if folder.is_dir():
                    yield from sorted(folder.glob("*.json"))

    def out_of_reach(self) -> str | None:
        """Return why this user cannot record events that may be queued; None where there are none."""
        for folder in self._folders():
            if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):  # noqa: PTH112 - raises not
                return (
                    f"events may be queued in {folder}, which is closed to this user (it belongs to user "
                    f"{folder.stat().st_uid}); run this as that user, or give the folder to this one"
                )
        return None

    def _folders(self, *, make: bool = False) -> Iterator[Path]:
        yield Path(f"{self._ledger}.outbox")
        if not make:
            yield Path(f"{self._ledger}.waiting")  # where the versions of ledgers 1 and 2 kept them
        if (mine := folders.temporary_folder(make=make)) is not None:
            yield mine / hashlib.sha256(str(self._ledger).encode()).hexdigest()[:16]
