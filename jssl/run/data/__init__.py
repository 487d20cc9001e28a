"""The data of a run: opened, looked at, and handed to its steps."""
