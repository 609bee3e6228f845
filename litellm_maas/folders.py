"""Find the folders that this package keeps files in: the user's data folder, and one in the temporary folder."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from functools import cache
from pathlib import Path

import platformdirs

logger = logging.getLogger("litellm_maas")


def data_folder(chosen: str | None) -> Path:
    """Return where the ledger and what belongs to it is kept. Makes no folder, and never raises.

    Args:
        chosen: What the user has set; their data folder on this system, if nothing.

    Returns:
        That folder; or, where there is no home folder and where it cannot be made, one in the temporary folder, which
        a warning says once.
    """
    try:
        folder = Path(chosen or platformdirs.user_data_dir("litellm-maas", appauthor=False)).expanduser().absolute()
        why_not = None if _can_be(folder) else f"{folder} cannot be made"
    except (RuntimeError, OSError):
        # Older versions of platformdirs return `~` where they find no home folder; newer ones raise.
        folder, why_not = Path(os.path.sep, "litellm-maas"), "this user has no home folder"
    if why_not is None:
        return folder
    found = temporary_folder()
    _say_once(why_not, found or folder)
    return found or folder


def temporary_folder(*, make: bool = True) -> Path | None:
    """Return this user's own folder in the temporary folder; None where it is not there, or is not for this user alone.

    Args:
        make: Make it, if it is not there.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"litellm-maas-{os.getuid() if hasattr(os, 'getuid') else 'waiting'}"
        if make:
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    return folder if _is_private(folder) else None


def _is_private(folder: Path) -> bool:
    """Return whether nobody else can read or put anything there: anybody can make a folder in the temporary one."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):
        return True  # Windows gives each user a temporary folder of their own
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _can_be(folder: Path) -> bool:
    """Return whether a folder is there, or can be made."""
    # Not by the methods of paths, which raise where a folder above may not be looked into.
    nearest = next((each for each in (folder, *folder.parents) if os.path.exists(each)), folder)  # noqa: PTH110
    return nearest == folder or (os.path.isdir(nearest) and os.access(nearest, os.W_OK | os.X_OK))  # noqa: PTH112


@cache
def _say_once(why: str, folder: Path) -> None:
    logger.warning(
        "%s: the ledger and what belongs to it are kept in %s, which may be emptied at any time. "
        "Set MAAS_HOME to a folder that stays.",
        why,
        folder,
    )
