"""A source: labelled images in memory, and the names by which they are loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Source:
    """Images in memory.

    name: what it was loaded as.
    images: uint8 [N, H, W, C].
    labels: int32 [N]; -1 where there is none.
    class_names: one per class, empty without labels.
    extras: further arrays by name, [N, ...], that travel with the images into every batch.
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
        """What a batch is made of, by the batch's names: {"image", "label", and the extras}."""
        return {"image": self.images, "label": self.labels, **self.extras}


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    class_names: tuple[str, ...] = (),
    name: str = "arrays",
    **extras: np.ndarray,
) -> Source:
    """A source of arrays already in memory.

    images: [N, H, W, C] or [N, H, W], uint8, or float in [0, 1] (stored as uint8).
    labels: [N] integers, or None.
    extras: further arrays [N, ...], kept beside the images.

    Returns: a `Source`.

    Raises: ValueError for another rank, length or type, naming what was found.

    >>> from_arrays(np.zeros((2, 8, 8), np.uint8), [0, 1]).images.shape
    (2, 8, 8, 1)
    """
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise ValueError(f"{name}: images must be [N, H, W, C] or [N, H, W], got shape {images.shape}")
    if len(images) == 0:
        raise ValueError(f"{name}: there are no images (shape {images.shape})")
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"{name}: images must have 1 or 3 channels, last, got shape {images.shape}")
    if np.issubdtype(images.dtype, np.floating):
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"{name}: float images must lie in [0, 1], found {low:.3g} to {high:.3g}; scale them"
            )
        images = np.round(images * 255).astype(np.uint8)
    if images.dtype != np.uint8:
        raise ValueError(f"{name}: images must be uint8, or float in [0, 1], got {images.dtype}")
    labels = np.full(len(images), -1, np.int32) if labels is None else np.asarray(labels)
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name}: labels must be {len(images)} integers, one per image, got {labels.dtype} of shape {labels.shape}"
        )
    for key, values in extras.items():
        if len(values) != len(images):
            raise ValueError(
                f"{name}: {key} must have one entry for each of {len(images)} images, got {len(values)}"
            )
    if not class_names and labels.max() >= 0:
        class_names = tuple(str(i) for i in range(labels.max() + 1))
    if class_names and labels.max() >= len(class_names):
        raise ValueError(f"{name}: label {labels.max()} has no name, class_names has {len(class_names)}")
    return Source(name, images, labels.astype(np.int32), tuple(class_names), extras)


def load(
    name: str, *, data_dir: str | None = None, split: str = "train", canvas: int | None = None
) -> Source:
    """Images by name: "digits", "scenes", "tfds:cifar10" or another TFDS data set, "folder:path", "npz:file.npz".

    Scenes are labelled by shape; "scenes:color" and so on by another of their attributes.

    data_dir: where TFDS has its data sets; by default TFDS's own default.
    split: "train" or "test".
    canvas: the side of the images of "folder:" (224 by default) and "scenes" (32); the others have their own.

    Returns: a `Source`, decoded into memory.

    Raises: ValueError for an unknown name or split, FileNotFoundError where the data is not there; both say what to do.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    kind, _, rest = name.partition(":")
    if kind not in _LOADERS or (kind not in _WITHOUT_ARGUMENT and not rest):
        raise ValueError(f"unknown data {name!r}: expected one of {', '.join(_FORMS)}")
    return _LOADERS[kind](rest, data_dir=data_dir, split=split, canvas=canvas)


def _digits(rest, *, split, **_):
    from jssl.data.sources.digits import digits

    if rest:
        raise ValueError(f"digits have one labelling, got 'digits:{rest}'; write digits")
    return digits(split=split)


def _tfds(rest, *, data_dir, split, **_):
    from jssl.data.sources.prepared import prepared

    return prepared(rest, data_dir=data_dir, split=split)


def _npz(rest, *, split, **_):
    return from_npz(rest, split=split)


def _folder(rest, *, split, canvas, **_):
    from jssl.data.reading.memory import decode_all
    from jssl.data.reading.records import folder

    return decode_all(folder(rest, split=split), canvas=canvas or 224, name=f"folder:{rest}")


def _scenes(rest, *, split, canvas, **_):
    from jssl.data.sources.scenes import scenes

    return scenes(split=split, side=canvas or 32, label=rest or "shape")


def from_npz(path: str, *, split: str = "train") -> Source:
    """A source from an npz file with `images` and perhaps `labels` and `class_names`.

    The test split reads `test_images` and `test_labels`; the names `x_train`, `y_train`, `x_test`, `y_test` work too.

    Returns: a `Source`.

    Raises: FileNotFoundError for a missing file, ValueError for one without images; both say what to do.
    """
    try:
        archive = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise FileNotFoundError(f"npz:{path}: there is no such file; give the path of an .npz file") from None
    names = ("images", "x_train") if split == "train" else ("test_images", "x_test")
    labels = ("labels", "y_train") if split == "train" else ("test_labels", "y_test")
    found = next((key for key in names if key in archive), None)
    if found is None:
        raise ValueError(
            f"npz:{path}: the {split} split needs {' or '.join(names)}, the file has {', '.join(archive)}"
        )
    label = next((key for key in labels if key in archive), None)
    return from_arrays(
        archive[found],
        None if label is None else archive[label].reshape(-1),
        class_names=tuple(map(str, archive["class_names"])) if "class_names" in archive else (),
        name=f"npz:{path}",
    )


_LOADERS: dict[str, Callable] = {
    "digits": _digits,
    "scenes": _scenes,
    "tfds": _tfds,
    "folder": _folder,
    "npz": _npz,
}
_WITHOUT_ARGUMENT = ("digits", "scenes")
_FORMS = ("digits", "scenes", "tfds:<name>", "folder:<path>", "npz:<file>")
