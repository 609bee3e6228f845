"""HTTP to MaaS: requests, connections, streams and what their errors mean. Knows no LiteLLM."""
