"""What each framework is made to do, in an environment of its own: `python agent_cases.py FRAMEWORK CASE`.

Prints one line of JSON: the answer, the pieces of a streamed one, and what its tool was called with.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litellm_maas

MODEL = "maas/openai/gpt-4o"
FALLBACKS = ["maas/qwen/qwen3.6-flash", "maas/google/gemma-4-31b-it"]
QUESTION = "How is the weather in Hà Nội?"

STREAMS = ("stream", "stream_fallback")

Outcome = dict[str, Any]


def metadata() -> dict[str, Any]:
    """What every call is to be recorded with. LiteLLM and frameworks write into it."""
    return {"session_id": "agents-session", "tags": ["agents-tag"]}


def fallbacks(case: str) -> dict[str, Any]:
    """LiteLLM's own fallbacks of a call; a plain stream is to show that it works without them."""
    return {} if case == "stream" else {"fallbacks": FALLBACKS}


class Weather:
    """The work of the tool; remembers the cities that it was asked for."""

    def __init__(self) -> None:
        self.cities: list[str] = []

    def in_city(self, city: str) -> str:
        """The weather in a city."""
        self.cities.append(city)
        return f"sunny in {city}"


def python_call(case: str) -> Outcome:
    """`litellm.completion` with `fallbacks=`."""
    import litellm

    return _litellm(litellm, MODEL, case, **fallbacks(case))


def python_router(case: str) -> Outcome:
    """The router that `load_router` makes."""
    return _litellm(litellm_maas.load_router("router.current.yaml"), "maas", case)


def _litellm(client: Any, model: str, case: str, **more: Any) -> Outcome:
    call = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "metadata": metadata(), **more}
    if case in STREAMS:
        chunks = client.completion(**call, stream=True)
        pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices]
        return {"pieces": list(filter(None, pieces))}
    if case == "chat":
        return {"answer": client.completion(**call).choices[0].message.content}
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    call["tools"] = [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]
    weather = Weather()
    message = client.completion(**call).choices[0].message
    called = message.tool_calls[0]
    result = weather.in_city(**json.loads(called.function.arguments))
    call["messages"] += [message, {"role": "tool", "tool_call_id": called.id, "content": result}]
    return {"answer": client.completion(**call).choices[0].message.content, "cities": weather.cities}


def openai_agents(case: str) -> Outcome:
    """OpenAI Agents SDK: `LitellmModel`."""
    from agents import Agent, ModelSettings, Runner, function_tool, set_tracing_disabled
    from agents.extensions.models.litellm_model import LitellmModel

    set_tracing_disabled(True)
    weather = Weather()

    @function_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return weather.in_city(city)

    agent = Agent(
        name="Weather",
        model=LitellmModel(MODEL),
        model_settings=ModelSettings(extra_args={**fallbacks(case), "metadata": metadata()}),
        tools=[get_weather] if case == "tools" else [],
    )

    async def streamed() -> list[str]:
        found = []
        async for event in Runner.run_streamed(agent, QUESTION).stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                found.append(event.data.delta)
        return found

    if case in STREAMS:
        return {"pieces": asyncio.run(streamed())}
    return {"answer": Runner.run_sync(agent, QUESTION).final_output, "cities": weather.cities}


def smolagents(case: str) -> Outcome:
    """smolagents: `LiteLLMModel` on a router, `ToolCallingAgent`."""
    from smolagents import ChatMessage, LiteLLMModel, ToolCallingAgent, tool

    router = litellm_maas.load_router("router.current.yaml")
    model = LiteLLMModel("maas", client=router, metadata=metadata(), drop_params=True)
    messages = [ChatMessage(role="user", content=QUESTION)]
    if case == "chat":
        return {"answer": model.generate(messages).content}
    if case in STREAMS:
        return {"pieces": [delta.content for delta in model.generate_stream(messages) if delta.content]}
    weather = Weather()

    @tool
    def get_weather(city: str) -> str:
        """The weather in a city.

        Args:
            city: Its name.
        """
        return weather.in_city(city)

    agent = ToolCallingAgent(tools=[get_weather], model=model, max_steps=4, verbosity_level=0)
    return {"answer": agent.run(QUESTION), "cities": weather.cities}


def langchain_litellm(case: str) -> Outcome:
    """langchain-litellm: `ChatLiteLLMRouter`."""
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool
    from langchain_litellm import ChatLiteLLMRouter

    weather = Weather()

    @tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return weather.in_city(city)

    router = litellm_maas.load_router("router.current.yaml")
    model = ChatLiteLLMRouter(router=router, model="maas", model_kwargs={"metadata": metadata()})
    if case == "chat":
        return {"answer": model.invoke(QUESTION).text}
    if case in STREAMS:
        return {"pieces": [chunk.text for chunk in model.stream(QUESTION) if chunk.text]}
    with_tool = model.bind_tools([get_weather])
    asked = with_tool.invoke(QUESTION)
    results = [ToolMessage(get_weather.invoke(each["args"]), tool_call_id=each["id"]) for each in asked.tool_calls]
    return {"answer": with_tool.invoke([HumanMessage(QUESTION), asked, *results]).text, "cities": weather.cities}


def dspy(case: str) -> Outcome:
    """DSPy: `Predict`, `streamify`, and tools as the model's own function calls."""
    import dspy as framework

    language_model = framework.LM(MODEL, **fallbacks(case), metadata=metadata(), cache=False)
    framework.configure(lm=language_model, adapter=framework.ChatAdapter(use_native_function_calling=True))
    program = framework.Predict("question -> answer")
    if case == "chat":
        return {"answer": program(question=QUESTION).answer}
    if case in STREAMS:
        listener = framework.streaming.StreamListener(signature_field_name="answer")
        streaming = framework.streamify(program, stream_listeners=[listener])

        async def streamed() -> list[str]:
            return [each.chunk async for each in streaming(question=QUESTION) if hasattr(each, "chunk")]

        return {"pieces": asyncio.run(streamed())}
    weather = Weather()

    fields = {
        "question": (str, framework.InputField()),
        "tools": (list[framework.Tool], framework.InputField()),
        "calls": (framework.ToolCalls, framework.OutputField()),
    }
    ask = framework.Predict(framework.Signature(fields, "Answer with the help of tools."))
    tool = framework.Tool(weather.in_city, name="get_weather")
    (called,) = ask(question=QUESTION, tools=[tool]).calls.tool_calls
    return {"answer": tool(**called.args), "cities": weather.cities}


def crewai(case: str) -> Outcome:
    """CrewAI: `LLM`, and a crew of one."""
    from crewai import LLM, Agent, Crew, Task
    from crewai.events import LLMStreamChunkEvent, crewai_event_bus
    from crewai.tools import tool

    llm = LLM(MODEL, **fallbacks(case), metadata=metadata(), stream=case in STREAMS)
    if case == "chat":
        return {"answer": llm.call(QUESTION)}
    if case in STREAMS:
        pieces: list[str] = []
        with crewai_event_bus.scoped_handlers():
            crewai_event_bus.on(LLMStreamChunkEvent)(lambda _, event: pieces.append(event.chunk))
            answer = llm.call(QUESTION)
            crewai_event_bus.flush()
        return {"answer": answer, "pieces": pieces}
    weather = Weather()

    @tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return weather.in_city(city)

    agent = Agent(role="Reporter", goal="Report the weather", backstory="Terse.", llm=llm, tools=[get_weather])
    task = Task(description=QUESTION, expected_output="One sentence.", agent=agent)
    return {"answer": str(Crew(agents=[agent], tasks=[task]).kickoff()), "cities": weather.cities}


def mini_swe_agent(case: str) -> Outcome:
    """mini-swe-agent: commands in text for chat, its bash tool for tools. It has no streams."""
    from minisweagent.agents.default import DefaultAgent
    from minisweagent.environments.local import LocalEnvironment
    from minisweagent.models.litellm_model import LitellmModel
    from minisweagent.models.litellm_textbased_model import LitellmTextbasedModel

    model_class = LitellmTextbasedModel if case == "chat" else LitellmModel
    name = "maas/gemini/gemini-2.5-flash" if case == "unpriced" else MODEL
    model = model_class(model_name=name, model_kwargs={**fallbacks(case), "metadata": metadata()})
    agent = DefaultAgent(
        model, LocalEnvironment(), system_template="Work in a shell.", instance_template="{{task}}", step_limit=4
    )
    ended = agent.run(QUESTION)
    # The command that submits also leaves a file behind.
    ran = ["Hà Nội"] if Path("was-here").exists() else []
    return {"answer": ended["submission"], "cities": ran, "dollars": agent.cost}


FRAMEWORKS: dict[str, Callable[[str], Outcome]] = {
    each.__name__: each
    for each in (
        python_call,
        python_router,
        openai_agents,
        smolagents,
        langchain_litellm,
        dspy,
        crewai,
        mini_swe_agent,
    )
}


if __name__ == "__main__":
    litellm_maas.track_spend()
    print(json.dumps(FRAMEWORKS[sys.argv[1]](sys.argv[2]), ensure_ascii=False, default=str))
