"""What happens around the model while it trains: checkpoints, hooks and optimizer set-up."""

from .safe_globals import register_safe_globals, trust_checkpoints
from .safe_loading import install_safe_loading

__all__ = ['install_safe_loading', 'register_safe_globals', 'trust_checkpoints']
