"""LangChain's chat model on a router that falls back, streamed and with a tool, and what its session has spent."""

import uuid

from langchain_core.tools import tool
from langchain_litellm import ChatLiteLLMRouter

import litellm_maas

session = f"langchain-{uuid.uuid4().hex[:8]}"
litellm_maas.track_spend()


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


router = litellm_maas.load_router("router.current.yaml")
model = ChatLiteLLMRouter(router=router, model="maas", model_kwargs={"metadata": {"session_id": session}})
print("answer:", "".join(chunk.text for chunk in model.stream("Xin chào!")))
print("tool call:", model.bind_tools([get_weather]).invoke("How is the weather in Hà Nội?").tool_calls[0]["args"])

spent = litellm_maas.session_spend(session)
print(f"{session}: {spent.calls} calls, {spent.credits:f} VND, {spent.unpriced_calls} calls of unknown price")
