"""Chat, stream and tool call through a router that falls back, and what the session has spent."""

import uuid

import litellm_maas

session = f"python-router-{uuid.uuid4().hex[:8]}"
litellm_maas.track_spend()
router = litellm_maas.load_router("router.current.yaml")
call = {"model": "maas", "metadata": {"session_id": session, "tags": ["example"]}}
messages = [{"role": "user", "content": "Xin chào!"}]
weather = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}

response = router.completion(**call, messages=messages)
print("answer:", response.choices[0].message.content)
stream = router.completion(**call, messages=messages, stream=True)
print("stream:", "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices))
response = router.completion(**call, messages=messages, tools=[{"type": "function", "function": weather}])
print("tool call:", response.choices[0].message.tool_calls[0].function.arguments)

spent = litellm_maas.session_spend(session)
print(f"{session}: {spent.calls} calls, {spent.credits:f} VND, {spent.unpriced_calls} calls of unknown price")
