"""Price usage in integers of micro-credits, from the token counts of the gateway. Knows no LiteLLM."""
