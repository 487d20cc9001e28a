"""Frames: forward passes that named methods are built on, one in each module."""
