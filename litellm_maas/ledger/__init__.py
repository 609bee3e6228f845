"""Keep the durable table of events, and read it."""
