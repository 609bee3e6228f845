"""No connection to a ledger's file is open while its process forks.

SQLite keeps its locks on a file in the memory of the process. The child of a fork has that memory and not the locks, so
the connections that it opens itself believe in locks that nobody holds: a parent that ends deletes the log that its
child goes on writing to, or the child finds the ledger locked for ever (sqlite.org/howtocorrupt.html, "Carrying an open
database connection across a fork"; measured on SQLite 3.40).
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """What has a connection open."""

    def hold_still(self) -> bool:
        """Before a fork: wait for what is under way, and close; whether that was possible."""

    def go_on(self) -> None:
        """After a fork, in the parent, if it held still."""

    def begin_anew(self) -> None:
        """After a fork, in the child."""


_all: weakref.WeakSet[Forkable] = weakref.WeakSet()
_still: list[Forkable] = []


def heed(forkable: Forkable) -> None:
    """Tell it of every fork from now on."""
    _all.add(forkable)


def _before() -> None:
    _still[:] = [each for each in list(_all) if each.hold_still()]


def _in_parent() -> None:
    while _still:
        _still.pop().go_on()


def _in_child() -> None:
    _still.clear()
    for each in list(_all):
        each.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
