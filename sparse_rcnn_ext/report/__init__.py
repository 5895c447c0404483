"""A page on a run: how it trained, what the model finds and misses."""
