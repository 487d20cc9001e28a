"""Evaluation of representations: probes while training, and protocols and comparisons afterwards."""
