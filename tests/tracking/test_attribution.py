"""Who a call is for, and who pays: what LiteLLM knows, what a client may write, and how long texts may be."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import litellm
import pytest

from litellm_maas.ledger.event import host_of, sanitize_text
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Sandbox
from litellm_maas.tracking.attribution import attribution_from
from tests.helpers import MESSAGES
from tests.ledger_files import rows

OWNER = {
    "user_api_key": "hash",
    "user_api_key_hash": "hash",
    "user_api_key_user_id": "minh",
    "user_api_key_team_id": "sales",
    "user_api_key_team_alias": "Kinh doanh",
    "user_api_key_alias": "key of minh",
    "user_api_key_end_user_id": None,
}


@pytest.mark.parametrize(
    ("metadata", "user", "pays", "end_user"),
    [
        ({}, "an", "an", None),
        ({}, None, None, None),
        ({"tags": ["a"]}, 7, "7", None),
        (OWNER, None, "minh", None),
        (OWNER, "lan", "minh", "lan"),
        (OWNER, "minh", "minh", "minh"),
        ({**OWNER, "user_api_key_end_user_id": "from a header"}, None, "minh", "from a header"),
        ({**OWNER, "user_api_key_end_user_id": "from a header"}, "lan", "minh", "lan"),
        ({**OWNER, "user_api_key_end_user_id": "chat-7"}, '{"device_id": "x"}', "minh", "chat-7"),
        ({**OWNER, "user_api_key_user_id": None}, "minh", None, "minh"),
        ({**OWNER, "user_api_key_user_id": ""}, "minh", None, "minh"),
        ({"user_api_key_hash": "hash"}, "minh", None, "minh"),
    ],
)
@pytest.mark.parametrize("name", ["metadata", "litellm_metadata"])
def test_who_pays(metadata: dict[str, Any], user: object, pays: str | None, end_user: str | None, name: str) -> None:
    """The owner of the proxy's key pays, or nobody that is known; whom a client names is its end user."""
    found = attribution_from({name: metadata}, user, "maas.vn")
    assert (found.user, found.end_user, found.host) == (pays, end_user, "maas.vn")


@pytest.mark.parametrize(
    ("team_id", "alias", "team"), [("sales", "Sales", "Sales"), ("sales", None, "sales"), (None, "Sales", "Sales")]
)
def test_a_team_has_an_id_and_a_name(team_id: str | None, alias: str | None, team: str) -> None:
    """The id is kept beside the alias; where there is no alias the id is the name too."""
    found = attribution_from({"metadata": {**OWNER, "user_api_key_team_id": team_id, "user_api_key_team_alias": alias}})
    assert (found.team_id, found.team) == (team_id, team)


LONG = [
    "x" * 218,
    "x" * 1_000_000,
    "ễ" * 200,
    "🦆" * 121,
    "🦆" * 1_000_000,
    "\ud800" * 5000,
    "\x00" * 5000,
    "".join(map(chr, random.Random(3).choices(range(0x4E00, 0x9FFF), k=4000))),
]


@pytest.mark.parametrize("text", LONG, ids=lambda text: f"{len(text)} {text[0]!r}")
def test_long_texts_are_cut_and_still_told_apart(text: str) -> None:
    """What is recorded of a long text is small, begins as it does, and is another one for another text."""
    kept = sanitize_text(text)
    assert len(kept) <= 217
    assert len(kept.encode()) <= 499
    assert kept[:100] == sanitize_text(text[:100])
    assert sanitize_text(text + "x") != kept
    assert sanitize_text(kept) == kept
    assert sanitize_text(text) == kept


@pytest.mark.parametrize("text", ["", "minh", "Nguyễn Văn A", "x" * 217, "ệ" * 160, "🦆" * 120, "a\nb"])
def test_texts_of_a_usual_length_stay_whole(text: str) -> None:
    """A name, an address or an id is recorded as it is."""
    assert sanitize_text(text) == text


def test_every_text_of_a_call_is_cut() -> None:
    """No name, id or tag that a client can choose gets by."""
    long = "y" * 5000
    metadata = dict.fromkeys(OWNER, long) | {"tags": [long], "session_id": long, "model_group": long}
    found = attribution_from({"metadata": metadata}, long)
    texts = [found.requested, found.user, found.end_user, found.team_id, found.team, found.key_alias, found.session_id]
    assert [len(str(text)) for text in [*texts, *found.tags]] == [217] * 8


def test_a_tag_that_is_no_list() -> None:
    """Tags given as text are one tag."""
    assert attribution_from({"metadata": {"tags": "chatbot"}}).tags == ("chatbot",)
    assert attribution_from({"metadata": {"tags": ""}}).tags == ()


def test_the_last_tags_count() -> None:
    """Of very many tags the last hundred are kept, which are those of the proxy and the router."""
    tags = attribution_from({"metadata": {"tags": [*map(str, range(1_000_000)), "of the key"]}}).tags
    assert (len(tags), tags[-1]) == (100, "of the key")


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("https://maas.vn/v1", "maas.vn"),
        ("https://MAAS.vn:8443/v1", "maas.vn:8443"),
        ("http://127.0.0.1:5000/v1", "127.0.0.1:5000"),
        ("http://[::1]:5000/v1", "[::1]:5000"),
        ("https://minh:s3cret@maas.vn/v1", "maas.vn"),
        ("https://minh:s3@cret@maas.vn/v1", "maas.vn"),
        ("maas.vn/v1", None),
        ("https://[maas/v1", None),
        ("", None),
    ],
)
def test_the_host_of_a_base_url(base_url: str, host: str | None) -> None:
    """It is the host, with its port if it has one, and nothing that is secret."""
    assert host_of(base_url) == host


def test_long_texts_cost_nothing(sandbox: Sandbox, ledger_path: Path) -> None:
    """Twenty calls with texts of a million characters leave a small ledger, in which they can be told apart."""
    for number in range(20):
        long = f"{number % 2}" * 1_000_000
        metadata = {"tags": [long], "session_id": long, "user_api_key_alias": long}
        litellm.completion("maas/openai/gpt-4o", MESSAGES, user=long, metadata=metadata)
    runtime.close()
    assert sum(file.stat().st_size for file in ledger_path.parent.glob("ledger.db*")) < 300_000
    assert len({event.user for event in rows(ledger_path)}) == 2
