"""An agent of the OpenAI Agents SDK with a tool, a fallback, and what its session has spent."""

import uuid

from agents import Agent, ModelSettings, Runner, function_tool, set_tracing_disabled
from agents.extensions.models.litellm_model import LitellmModel

import litellm_maas

session = f"openai-agents-{uuid.uuid4().hex[:8]}"
litellm_maas.track_spend()
set_tracing_disabled(True)  # traces would go to OpenAI


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


settings = ModelSettings(metadata={"session_id": session}, extra_args={"fallbacks": ["maas/qwen/qwen3.6-flash"]})
agent = Agent(name="Weather", model=LitellmModel("maas/openai/gpt-4o"), model_settings=settings, tools=[get_weather])
print("answer:", Runner.run_sync(agent, "How is the weather in Hà Nội?").final_output)

spent = litellm_maas.session_spend(session)
print(f"{session}: {spent.calls} calls, {spent.credits:f} VND, {spent.unpriced_calls} calls of unknown price")
