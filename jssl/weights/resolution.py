"""Positions for another resolution."""
def resize(variables, *, size):
    raise ValueError
