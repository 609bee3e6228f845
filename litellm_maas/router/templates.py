"""Find the configs that come with the package."""

from __future__ import annotations

from pathlib import Path

from litellm_maas.errors import SettingsError

_PACKAGE = Path(__file__).parent.parent
FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
"""In an installed package; in a checkout."""

ABOUT = {
    "proxy.current.yaml": "a complete LiteLLM proxy; models that are live and priced",
    "maas_models.current.yaml": "the same models, for the include: of any proxy config",
    "router.current.yaml": 'load_router("router.current.yaml"); models that are live and priced',
    "proxy.yaml": "a complete LiteLLM proxy with the vendor's example trio",
    "maas_models.yaml": "the trio, for the include: of any proxy config",
    "router.yaml": "load_router(); the trio",
    "proxy-cluster.yaml": "the proxy in several pods, with PostgreSQL and Redis",
    "prices.example.yaml": "the beginning of a price file of your own (MAAS_PRICES)",
}
"""What a person may begin with, and what each file is for; those that work with today's models first."""

TEMPLATES = tuple(ABOUT)
NAMES = tuple(name for name in TEMPLATES if not name.startswith("prices"))
"""The configs among them."""


def config_file(name: str) -> Path:
    """Return a shipped config, or the price file to begin with.

    Raises:
        SettingsError: There is none of that name.
    """
    for folder in FOLDERS:
        if name in TEMPLATES and (folder / name).is_file():
            return folder / name
    raise SettingsError(f"no shipped config is named {name!r}", f"there are {', '.join(TEMPLATES)}")
