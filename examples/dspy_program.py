"""A DSPy program with a typed answer, a fallback, and what its session has spent."""

import uuid

import dspy

import litellm_maas

session = f"dspy-{uuid.uuid4().hex[:8]}"
litellm_maas.track_spend()
lm = dspy.LM(
    "maas/openai/gpt-4o",
    fallbacks=["maas/qwen/qwen3.6-flash", "maas/google/gemma-4-31b-it"],
    metadata={"session_id": session},
    cache=False,  # DSPy's cache outlives the process
)
dspy.configure(lm=lm)
greet = dspy.Predict("greeting -> language, polite: bool")
print("answer:", greet(greeting="Xin chào!"))

spent = litellm_maas.session_spend(session)
print(f"{session}: {spent.calls} calls, {spent.credits:f} VND, {spent.unpriced_calls} calls of unknown price")
