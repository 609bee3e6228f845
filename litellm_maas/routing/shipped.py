"""The configs that come with the package."""

from __future__ import annotations

from pathlib import Path

from litellm_maas.errors import SettingsError

_PACKAGE = Path(__file__).parent.parent
FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
"""In an installed package; in a checkout."""

NAMES = ("router.yaml", "router.current.yaml", "maas_models.yaml", "proxy.yaml", "proxy-cluster.yaml")

STARTERS = (*NAMES, "prices.example.yaml")
"""What a person may begin with: the configs, and a price file."""


def config_file(name: str) -> Path:
    """A shipped config, or the price file to begin with.

    Raises:
        SettingsError: There is none of that name.
    """
    for folder in FOLDERS:
        if name in STARTERS and (folder / name).is_file():
            return folder / name
    raise SettingsError(f"no config named {name!r} comes with this package; it brings {', '.join(STARTERS)}")
