"""What goes on in a training: its random numbers, its workers, and steps that are not finite."""
