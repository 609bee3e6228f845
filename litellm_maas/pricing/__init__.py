"""Prices, usage and money: integers of micro-credits, from the token counts of the gateway. Knows no LiteLLM."""
