"""How long tests wait for what they have started: so long that a busy machine never reaches it, only a hang does."""

LIMIT = 900
"""Seconds for a process to end, or to come to a point."""

SOAK_LIMIT = 3600
"""Seconds for a long training."""
