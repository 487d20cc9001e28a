"""What a source is: labelled images in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

DENSE = ("segmentation", "depth", "objects")  # labels of pixels that may lie beside images, [N, H, W]
EASY, HARD, JUNK = 1, 2, -1  # relevance of an image of the gallery to a query; 0: not relevant
IMAGE_SIZE = "image_size"  # the entry beside images on a canvas: [N, 2] their own heights and widths


class NoSplit(ValueError):
    """Raised where data has no split of the given name; the message says which splits it has."""


@dataclass(frozen=True)
class Source:
    """Images in memory.

    Args:
        name: what it was loaded as.
        images: uint8 [N, H, W, C].
        labels: int32 [N]; -1 where there is none.
        class_names: one per class, empty without labels.
        extras: further arrays by name, [N, ...], that travel with the images into every batch. With
            "image_size", [N, 2] heights and widths, images lie in the top left corners of canvases; views
            are made of the images alone.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = ()
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the arrays that batches are taken from: {"image", "label", and the extras}."""
        return {"image": self.images, "label": self.labels, **self.extras}

    def some(self, rows: np.ndarray) -> "Source":
        """Takes some of the images.

        Args:
            rows: their numbers, or [N] booleans.
        Returns:
            A `Source` of the same name and classes.
        """
        extras = {name: values[rows] for name, values in self.extras.items()}
        return replace(self, images=self.images[rows], labels=self.labels[rows], extras=extras)
