"""Decide when not to send: the rate limit, and the cooldowns of models that cannot answer."""
