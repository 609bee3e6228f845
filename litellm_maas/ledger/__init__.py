"""The durable table of events, and everything that reads it."""
