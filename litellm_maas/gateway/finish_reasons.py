"""Map what an upstream says about why an answer ended. Knows no LiteLLM."""

from __future__ import annotations

FAILED = frozenset({"error", "abort", "aborted", "failed", "network_error", "insufficient_system_resource"})
"""Reasons that mean that the answer is not whole: `error` and `abort`, z.ai's `network_error`, DeepSeek's
`insufficient_system_resource` (users' reports, read 2026-11), and likely spellings of the same."""


def finish_reason(written: object, *, has_tool_calls: bool) -> str | None:
    """Return the reason as callers expect it; None where there is none yet.

    A `stop` beside tool calls is `tool_calls`: clients go on by the reason, and one that reads `stop` ends its loop.
    """
    if not written:
        return None  # some upstreams write an empty one with every delta
    return "tool_calls" if has_tool_calls and written == "stop" else str(written)
