"""Slow, obvious versions of what the package does in batch: the oracles of the tests."""
