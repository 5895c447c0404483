"""What happens around the model: its config, its checkpoints, its training, its speed, and hooks into all of it."""
