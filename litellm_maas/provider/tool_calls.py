"""Tool calls as gateways write them -> as LiteLLM and its callers read them. Knows no LiteLLM."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def tidy(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool call, or a fragment of one, whose fields have the types that the protocol promises."""
    function = call.get("function")
    function = dict(function) if isinstance(function, Mapping) else {}
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    tidied = {**call, "type": call.get("type") or "function"}
    if tidied["type"] == "function":
        tidied["function"] = {**function, "arguments": arguments or ""}
    if call.get("id") is not None:
        tidied["id"] = str(call["id"])
    return tidied


@dataclass(slots=True)
class _Call:
    """A call that is being streamed: its own number, and what has come of its id and its name."""

    number: int
    id: str | None = None
    has_name: bool = False


class ToolCallNumbers:
    """Give each streamed tool call of a choice a number of its own, and its fragments the same one.

    Upstreams leave `index` out, or write 0 for every call. A fragment with a new id opens a new call, one without
    continues the last; an index that leads to a call whose fragments each have another id is believed while no new
    name comes.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[int, _Call] = {}
        self._last: _Call | None = None

    def __bool__(self) -> bool:
        """Return whether any call has been opened."""
        return bool(self._calls)

    def number(self, fragment: Mapping[str, Any]) -> dict[str, Any]:
        """Return a fragment with its call's number as its `index`."""
        tidied = tidy(fragment)
        given, call_id = fragment.get("index"), tidied.get("id") or None
        index = given if isinstance(given, int) and not isinstance(given, bool) else None
        has_name = bool((tidied.get("function") or {}).get("name"))
        call = self._call(index, call_id, has_name=has_name)
        if call is None:
            call = _Call(len(self._calls))
            self._calls.append(call)
            if call_id is None and index is None:
                # Without any, a caller could not say which call it answers.
                call_id = tidied["id"] = f"call_{uuid.uuid4().hex}"
        call.has_name = call.has_name or has_name
        if call_id is not None:
            call.id = call.id or call_id
            self._by_id[call_id] = call
        if index is not None:
            self._by_index[index] = call
        self._last = call
        return {**tidied, "index": call.number}

    def _call(self, index: int | None, call_id: str | None, *, has_name: bool) -> _Call | None:
        """Return the open call that a fragment continues; None where it opens one."""
        if call_id is not None and call_id in self._by_id:
            return self._by_id[call_id]
        call = self._last if index is None else self._by_index.get(index)
        if call is None:
            return None
        is_new = has_name and call.has_name
        if call_id is not None:
            is_new = call.id is not None and (has_name or index is None)
        elif index is not None:
            is_new = False
        return None if is_new else call
