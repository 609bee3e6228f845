"""Make SQLite connections safe across fork().

SQLite keeps its locks on a file, and the mutexes of its memory, in the process. The child of a fork has a copy of them
as they were: a mutex that another thread held stays locked for ever, and the child's own connections believe in file
locks that nobody holds, so that a parent that ends deletes the log that its child goes on writing to
(sqlite.org/howtocorrupt.html, "Carrying an open database connection across a fork"; measured on SQLite 3.40).
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Use SQLite, and be told of forks."""

    def before_fork(self) -> bool:
        """Wait for what is in flight, and close; return whether that was possible."""

    def after_fork_in_parent(self) -> None:
        """Go on in the parent, if `before_fork` was possible."""

    def after_fork_in_child(self) -> None:
        """Begin anew in the child."""


_all: weakref.WeakValueDictionary[int, Forkable] = weakref.WeakValueDictionary()
"""In the order in which they came: who owns others came before them."""
_numbers = itertools.count()
_still: list[Forkable] = []
_no_fork = threading.RLock()


def register(forkable: Forkable) -> None:
    """Register an object's fork handlers; wait for a fork that has begun."""
    with _no_fork:
        _all[next(_numbers)] = forkable


def _newest_first() -> list[Forkable]:
    return list(_all.values())[::-1]


def _before() -> None:
    _no_fork.acquire()
    _still[:] = [each for each in _newest_first() if each.before_fork()]


def _in_parent() -> None:
    while _still:
        _still.pop().after_fork_in_parent()
    _no_fork.release()


def _in_child() -> None:
    _still.clear()
    for each in _newest_first():
        each.after_fork_in_child()
    _no_fork.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
