"""What a command line and a config file become, and what is said of mistakes in them before anything slow starts."""
