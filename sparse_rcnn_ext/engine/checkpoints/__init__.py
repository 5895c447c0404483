"""Checkpoints: written whole, read without running code, resumed exactly, and told how far they fit a model."""
