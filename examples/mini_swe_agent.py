"""mini-swe-agent with a fallback, and what its session has spent."""

import uuid

from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.local import LocalEnvironment
from minisweagent.models.litellm_model import LitellmModel

import litellm_maas

session = f"mini-swe-agent-{uuid.uuid4().hex[:8]}"
litellm_maas.track_spend()
model = LitellmModel(
    model_name="maas/openai/gpt-4o",
    model_kwargs={"fallbacks": ["maas/qwen/qwen3.6-flash"], "metadata": {"session_id": session}},
)
agent = DefaultAgent(
    model,
    LocalEnvironment(),
    system_template="Work in a shell. To end, run: echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && echo YOUR ANSWER",
    instance_template="{{task}}",
    step_limit=10,  # calls; its cost_limit is in US dollars
)
print("answer:", agent.run("How many files are in this folder?"))

spent = litellm_maas.session_spend(session)
print(f"{session}: {spent.calls} calls, {spent.credits:f} VND, {spent.unpriced_calls} calls of unknown price")
