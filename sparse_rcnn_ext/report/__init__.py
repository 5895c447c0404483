"""A page on a run: how it trained, what the model finds and misses."""

from .write import write_report

__all__ = ['write_report']
