"""An agent of smolagents with a tool, on a router that falls back, and what its session has spent."""

import uuid

from smolagents import LiteLLMModel, ToolCallingAgent, tool

import litellm_maas

session = f"smolagents-{uuid.uuid4().hex[:8]}"
litellm_maas.track_spend()


@tool
def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Its name.
    """
    return f"sunny in {city}"


model = LiteLLMModel(
    "maas", client=litellm_maas.load_router("router.current.yaml"), metadata={"session_id": session}, drop_params=True
)
agent = ToolCallingAgent(tools=[get_weather], model=model, max_steps=4, verbosity_level=0)
print("answer:", agent.run("How is the weather in Hà Nội?"))

spent = litellm_maas.session_spend(session)
print(f"{session}: {spent.calls} calls, {spent.credits:f} VND, {spent.unpriced_calls} calls of unknown price")
