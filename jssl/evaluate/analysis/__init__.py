"""What a network has learned, looked into: its patch features and its attention, as arrays that figures
draw.
"""

from jssl.evaluate.analysis.attention import most_attended
from jssl.evaluate.analysis.patches import patch_components

__all__ = ["most_attended", "patch_components"]
