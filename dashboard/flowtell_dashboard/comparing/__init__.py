"""Two runs of one flow side by side."""
