"""Data sets that TensorFlow Datasets has prepared, read without TensorFlow and decoded into memory once."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from jssl.data.reading.decode import decode, decoders
from jssl.data.source import Source, from_arrays


def open_prepared(name: str, *, data_dir: str | None = None, split: str = "train", **options):
    """A TFDS data set as a random-access source of {"image", "label", ...}, in ArrayRecord files.

    name: as in TFDS, with configuration and version if wanted ("cifar10", "imagenet2012/*:5.1.0").

    Returns: TFDS's data source.

    Raises: ImportError without tensorflow_datasets; FileNotFoundError or ValueError saying what is missing and how to
        get it.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f"tfds:{name} needs tensorflow_datasets: pip install tensorflow-datasets"
        ) from error
    where = data_dir or "TFDS's default directory"
    if data_dir is not None and not os.path.isdir(data_dir):
        raise FileNotFoundError(
            f"tfds:{name}: data_dir {data_dir!r} is not a directory; it should hold {name}/"
        )
    advice = (
        f'prepare it once where there is network: python -c "import tensorflow_datasets as tfds; '
        f"tfds.data_source('{name}', data_dir={data_dir!r})\""
    )
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (
        Exception
    ) as error:  # TFDS raises its own kinds for an unknown name, a missing file format, no network
        found = f"; it holds {', '.join(sorted(os.listdir(data_dir)))}" if data_dir else ""
        raise ValueError(f"tfds:{name} is not in {where}{found}; {advice}") from error
    if not os.path.isdir(str(builder.data_dir)):
        raise FileNotFoundError(f"tfds:{name} is not prepared in {where}; {advice}")
    splits = builder.info.splits
    actual = split if split in splits else next((s for s in ("validation", "test") if s in splits), None)
    if split == "train" and "train" not in splits or actual is None:
        raise ValueError(f"tfds:{name} has no {split} split, it has {', '.join(splits)}")
    try:
        return builder.as_data_source(split=actual, **options)
    except Exception as error:
        raise ValueError(f"tfds:{name} is not prepared as ArrayRecord files in {where}; {advice}") from error


@dataclass(frozen=True)
class PreparedRecords:
    """A TFDS data set read where it lies: records keep their images encoded, for a loader to decode."""

    source: Any
    name: str
    class_names: tuple[str, ...] = ()

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return self.source[index]

    def describe(self, index):
        return f"tfds:{self.name}[{index}]"


def prepared_records(name: str, *, data_dir: str | None = None, split: str = "train") -> PreparedRecords:
    """A TFDS data set of images as records for a loader.

    Returns: `PreparedRecords`, {"image": bytes, "label": int, ...}.

    Raises: as `open_prepared`; ValueError where it holds no images.
    """
    import tensorflow_datasets as tfds

    source = open_prepared(
        name, data_dir=data_dir, split=split, decoders={"image": tfds.decode.SkipDecoding()}
    )
    features = source.dataset_info.features
    if "image" not in features:
        raise ValueError(f"tfds:{name} has no 'image', it has {', '.join(features)}")
    names = tuple(features["label"].names) if "label" in features else ()
    return PreparedRecords(source, name, names)


def prepared(name: str, *, data_dir: str | None = None, split: str = "train") -> Source:
    """A TFDS data set of images of one size, decoded into memory.

    Returns: a `Source`.

    Raises: as `prepared_records`; ValueError where the images are of several sizes.
    """
    records = prepared_records(name, data_dir=data_dir, split=split)
    shape = records.source.dataset_info.features["image"].shape
    if None in shape[:2]:
        raise ValueError(
            f"tfds:{name} has images of several sizes: too large for memory, read it with a loader"
        )
    images = np.empty((len(records), *shape[:2], 3), np.uint8)
    labels = np.full(len(records), -1, np.int32)

    def read(start):
        indices = range(start, min(start + 500, len(records)))
        for i, record in zip(indices, records.source.__getitems__(list(indices)), strict=True):
            images[i] = decode(record["image"])
            labels[i] = record.get("label", -1)

    with ThreadPoolExecutor(decoders()) as pool:
        list(pool.map(read, range(0, len(records), 500)))
    return from_arrays(images[..., : shape[2]], labels, class_names=records.class_names, name=f"tfds:{name}")
