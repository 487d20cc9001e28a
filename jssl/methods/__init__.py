"""Methods: named recipes over a few engines."""

from jssl.methods.base import Method
from jssl.methods.contrastive import simclr

__all__ = ["Method", "simclr"]
