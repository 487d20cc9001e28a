"""The run directory: what was asked for, what was measured, who writes it, and how it is opened."""
