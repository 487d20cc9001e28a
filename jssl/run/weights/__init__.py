"""Weights that a run starts from or learns from, and those that it exports."""
