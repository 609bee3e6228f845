"""Everything between LiteLLM's arguments and the gateway's bytes, in both directions."""
