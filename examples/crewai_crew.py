"""A crew of one with a tool and a fallback, and what its session has spent."""

import uuid

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

import litellm_maas

session = f"crewai-{uuid.uuid4().hex[:8]}"
litellm_maas.track_spend()  # holds although CrewAI assigns litellm.callbacks


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


llm = LLM("maas/openai/gpt-4o", fallbacks=["maas/qwen/qwen3.6-flash"], metadata={"session_id": session})
agent = Agent(role="Reporter", goal="Report the weather", backstory="Terse.", llm=llm, tools=[get_weather])
task = Task(description="How is the weather in Hà Nội?", expected_output="One sentence.", agent=agent)
print("answer:", Crew(agents=[agent], tasks=[task]).kickoff())

spent = litellm_maas.session_spend(session)
print(f"{session}: {spent.calls} calls, {spent.credits:f} VND, {spent.unpriced_calls} calls of unknown price")
