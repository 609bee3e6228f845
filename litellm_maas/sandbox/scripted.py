"""Answer for the sandbox's models: as a test scripted, or from the request by simple, fixed rules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from litellm_maas.catalogue import Model
from litellm_maas.sandbox import tokens


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool; `arguments` is JSON text."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of an answer. `finish_reason` is derived where it is not given."""

    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None

    @property
    def ends_with(self) -> str:
        """Return the finish reason."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")

    @property
    def output_tokens(self) -> int:
        """Return the tokens of everything the model wrote."""
        written = [self.content, self.reasoning, *(call.name + call.arguments for call in self.tool_calls)]
        return sum(tokens.count(text) for text in written)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a model.

    Attributes:
        choices: One or several.
        input_tokens: What is reported and billed; counted from the request where it is not given.
        cached_tokens: The part of the input that came from the cache; found out where it is not given.
        usage: Report exactly this instead, sound or not; the bill stays right. `False` reports none.
        reasoning_field: What the reasoning is called on the wire.
        chunk_size: Characters per streamed event.
    """

    choices: tuple[Choice, ...] = (Choice(),)
    input_tokens: int | None = None
    cached_tokens: int | None = None
    usage: Any = None
    reasoning_field: str = "reasoning_content"
    chunk_size: int = 4

    @property
    def output_tokens(self) -> int:
        """Return the tokens of all choices."""
        return sum(choice.output_tokens for choice in self.choices)

    @property
    def reasoning_tokens(self) -> int:
        """Return the part of the output that is reasoning."""
        return sum(tokens.count(choice.reasoning) for choice in self.choices)


@dataclass
class Cache:
    """The conversations a sandbox has seen: what came before the last message counts as cached when it comes again."""

    _seen: set[str] = field(default_factory=set)

    def cached_tokens(self, model: str, messages: Sequence[Mapping[str, Any]]) -> int:
        """Return the tokens of the longest beginning of a conversation that was seen before, which is noted now."""
        cached = total = 0
        for position, message in enumerate(messages):
            beginning = f"{model}\n{json.dumps(messages[: position + 1], sort_keys=True)}"
            total += tokens.count_message(message)
            if beginning in self._seen and position < len(messages) - 1:
                cached = total
            self._seen.add(beginning)
        return cached


def answer(request: Mapping[str, Any], model: Model, scripted: Answer | None, cache: Cache) -> Answer:
    """Return the answer to a chat request, with its input counted and its length limited as the request says."""
    messages = request["messages"]
    found = scripted or Answer(tuple(_made_up(request, model) for _ in range(request.get("n") or 1)))
    input_tokens = sum(map(tokens.count_message, messages)) + tokens.count_tools(request.get("tools"))
    cached = cache.cached_tokens(model.id, messages)
    if found.input_tokens is None:
        found = replace(found, input_tokens=input_tokens)
    if found.cached_tokens is None:
        found = replace(found, cached_tokens=min(cached, found.input_tokens or 0))
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    return replace(found, choices=tuple(_cut(choice, limit, request.get("stop")) for choice in found.choices))


def _made_up(request: Mapping[str, Any], model: Model) -> Choice:
    last = request["messages"][-1]
    reasoning = "Let me think about that." if model.reasoning and not _thinking_is_off(request) else ""
    if (tool := _chosen_tool(request)) is not None:
        arguments = json.dumps(_instance(tool.get("parameters") or {}), ensure_ascii=False)
        return Choice(reasoning=reasoning, tool_calls=(ToolCall(tool["name"], arguments),))
    response_format = request.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        instance = _instance(response_format["json_schema"].get("schema") or {})
        return Choice(json.dumps(instance, ensure_ascii=False), reasoning)
    if response_format.get("type") == "json_object":
        return Choice(json.dumps({"answer": _text(last)[:80]}, ensure_ascii=False), reasoning)
    return Choice(f"{model.id} heard: {_text(last)}", reasoning)


def _thinking_is_off(request: Mapping[str, Any]) -> bool:
    return (
        request.get("reasoning_effort") == "none"
        or (request.get("thinking") or {}).get("type") == "disabled"
        or (request.get("chat_template_kwargs") or {}).get("enable_thinking") is False
    )


def _chosen_tool(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    tools = [tool["function"] for tool in request.get("tools") or () if tool.get("type") == "function"]
    choice = request.get("tool_choice") or "auto"
    if not tools or choice == "none":
        return None
    if isinstance(choice, Mapping):
        return next((tool for tool in tools if tool["name"] == choice["function"]["name"]), None)
    # Left to itself the sandbox calls the first tool once, and answers when it has the result, whatever follows it:
    # agents add reminders as messages of the user's.
    return tools[0] if choice == "required" or _is_asked(request["messages"]) else None


def _is_asked(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a user speaks last, and no result of a tool came since the model spoke."""
    roles = [message.get("role") for message in messages]
    spoke = max((position for position, role in enumerate(roles) if role == "assistant"), default=-1)
    return roles[-1] == "user" and "tool" not in roles[spoke + 1 :]


def _instance(schema: Mapping[str, Any]) -> Any:
    """Make a value that fits a JSON Schema."""
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if schema.get("enum"):
        return schema["enum"][0]
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            return _instance(schema[union][0])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: _instance(properties.get(name) or {}) for name in schema.get("required") or properties}
    if kind == "array":
        return [_instance(schema.get("items") or {})]
    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(kind, "Hà Nội")


def _cut(choice: Choice, limit: int | None, stop: str | list[str] | None) -> Choice:
    for ending in [stop] if isinstance(stop, str) else stop or ():
        choice = replace(choice, content=choice.content.split(ending)[0])
    if not limit or choice.output_tokens <= limit:
        return choice
    reasoning = tokens.pieces(choice.reasoning)[:limit]
    content = tokens.pieces(choice.content)[: limit - len(reasoning)]
    return Choice("".join(content), "".join(reasoning), finish_reason="length")


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text") or "") for part in content).strip()
    return str(content or "")
