"""What happens around the model while it trains: checkpoints, hooks and optimizer set-up."""
