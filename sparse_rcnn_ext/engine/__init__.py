"""What happens around the model while it trains: checkpoints, hooks and optimizer set-up."""

from .safe_globals import register_safe_globals

__all__ = ['register_safe_globals']
