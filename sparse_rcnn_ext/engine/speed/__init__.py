"""The same numbers in less time or memory: compilation, mixed precision, folded batch norm."""
