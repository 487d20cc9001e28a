"""How good a representation is: probes while training, and protocols and comparisons afterwards."""
