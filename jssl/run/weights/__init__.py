"""Weights that a run begins with or is taught by, and those that it leaves."""
