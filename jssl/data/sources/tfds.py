"""Data sets that TensorFlow Datasets has prepared, read without TensorFlow."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from jssl.data.reading.decode import decode, decoders
from jssl.data.reading.records import Items
from jssl.data.source import NoSplit, Source
from jssl.data.sources.arrays import from_arrays
from jssl.extras import extra


def _library():
    with extra():
        import tensorflow_datasets
    return tensorflow_datasets


def open_prepared(name: str, *, data_dir: str | None = None, split: str = "train", **options):
    """Opens a TFDS data set as a random-access source of {"image", "label", ...}, in ArrayRecord files.

    Args:
        name: as in TFDS, perhaps with configuration and version ("cifar10", "imagenet2012/*:5.1.0").
        data_dir: where TFDS has its data sets; by default TFDS's own default.
        split: "train" or "test"; without a test split the validation split is taken.
        options: of TFDS's `as_data_source`.
    Returns:
        TFDS's data source.
    Raises:
        ImportError: without tensorflow_datasets.
        FileNotFoundError: where it is not prepared.
        NoSplit: where there is no such split.
        ValueError: where it cannot be read, saying how to get it.
    """
    tfds = _library()
    where = data_dir or "TFDS's default directory"
    if data_dir is not None and not os.path.isdir(data_dir):
        mount = "; a bucket has to be mounted, and its folder given" if "://" in str(data_dir) else ""
        raise FileNotFoundError(
            f"tfds:{name}: data_dir {data_dir!r} is not a directory; it should hold {name}/{mount}"
        )
    advice = (
        f'prepare it once where there is network: python -c "import tensorflow_datasets as tfds; '
        f"tfds.data_source('{name}', data_dir={data_dir!r})\""
    )
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # TFDS's own: an unknown name, a missing file format, no network
        found = f"; it holds {', '.join(sorted(os.listdir(data_dir)))}" if data_dir else ""
        raise ValueError(f"tfds:{name} is not in {where}{found}; {advice}") from error
    if not os.path.isdir(str(builder.data_dir)):
        raise FileNotFoundError(f"tfds:{name} is not prepared in {where}; {advice}")
    splits = builder.info.splits
    actual = split if split in splits else next((s for s in ("validation", "test") if s in splits), None)
    if split == "train" and "train" not in splits or actual is None:
        raise NoSplit(f"tfds:{name} has no {split} split, it has {', '.join(splits)}")
    try:
        return builder.as_data_source(split=actual, **options)
    except Exception as error:
        raise ValueError(f"tfds:{name} is not prepared as ArrayRecord files in {where}; {advice}") from error


def prepared_records(name: str, *, data_dir: str | None = None, split: str = "train") -> Items:
    """Opens a TFDS data set of images as records for a loader, which keep their images encoded.

    Where the labels of the test split are not published, as ImageNet's, the validation split stands for it.

    Returns:
        `Items` of {"image": bytes, "label": int}.
    Raises:
        ValueError: where it holds no images; others as `open_prepared`.
    """
    encoded = {"image": _library().decode.SkipDecoding()}
    source = open_prepared(name, data_dir=data_dir, split=split, decoders=encoded)
    features = source.dataset_info.features
    if "image" not in features:
        raise ValueError(f"tfds:{name} has no 'image', it has {', '.join(features)}")
    names = tuple(getattr(features["label"], "names", None) or ()) if "label" in features else ()
    read = partial(_Prepared, labelled=bool(names), name=f"tfds:{name}")
    source = read(source)
    if names and split == "test" and "validation" in source.dataset_info.splits and source[0]["label"] < 0:
        source = read(open_prepared(name, data_dir=data_dir, split="validation", decoders=encoded))
    return Items(source, f"tfds:{name}", names)


class _Prepared:
    """Images and class labels of a data source of TFDS; damaged or missing files raise `OSError`.

    Args:
        source: TFDS's.
        labelled: whether its labels are classes; those of a regression are left out.
        name: for the error.
    """

    def __init__(self, source: Any, *, labelled: bool, name: str):
        self._source, self._labelled, self._name = source, labelled, name
        self.dataset_info = source.dataset_info

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        try:
            records = self._source.__getitems__(indices)
        except RuntimeError as error:  # array_record's, for a file that is missing, cut or something else
            reason = " ".join(str(error).split())[:200]
            raise OSError(f"{self._name} is not whole: {reason}; prepare it again") from error
        names = {"image", "label"} if self._labelled else {"image"}  # boxes and masks cannot be batched
        return [{key: value for key, value in record.items() if key in names} for record in records]


def one_size(records: Any) -> bool:
    """Tells whether all images of a TFDS data set are of one size."""
    return None not in records.source.dataset_info.features["image"].shape[:2]


def prepared(name: str, *, data_dir: str | None = None, split: str = "train") -> Source:
    """Decodes a TFDS data set of images of one size into memory.

    Returns:
        A `Source`.
    Raises:
        ValueError: where the images are of several sizes; others as `prepared_records`.
    """
    records = prepared_records(name, data_dir=data_dir, split=split)
    if not one_size(records):
        raise ValueError(f"tfds:{name} has images of several sizes; read it with open_records and a loader")
    shape = records.source.dataset_info.features["image"].shape
    images = np.empty((len(records), *shape[:2], 3), np.uint8)
    labels = np.full(len(records), -1, np.int32)

    def read(start):
        indices = range(start, min(start + 500, len(records)))
        for i, record in zip(indices, records.source.__getitems__(list(indices)), strict=True):
            images[i] = decode(record["image"])
            labels[i] = record.get("label", -1)

    with ThreadPoolExecutor(decoders()) as pool:
        list(pool.map(read, range(0, len(records), 500)))
    return from_arrays(images[..., : shape[2]], labels, class_names=records.class_names, name=records.name)
