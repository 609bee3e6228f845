"""A call that falls back on another model, plain and streamed, and what the session has spent."""

import uuid

import litellm

import litellm_maas

session = f"python-call-{uuid.uuid4().hex[:8]}"
litellm_maas.track_spend()
call = {
    "model": "maas/openai/gpt-4o",
    "fallbacks": ["maas/qwen/qwen3.6-flash", "maas/google/gemma-4-31b-it"],
    "messages": [{"role": "user", "content": "Xin chào!"}],
    "metadata": {"session_id": session, "tags": ["example"]},
}
response = litellm.completion(**call)
print("answer:", response.choices[0].message.content)
print("cost:", litellm_maas.cost_of(response).credits, "VND")

spent = litellm_maas.session_spend(session)
print(f"{session}: {spent.calls} calls, {spent.credits:f} VND, {spent.unpriced_calls} calls of unknown price")
