import os

# Before anything imports LiteLLM: it would try to download its model map.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
