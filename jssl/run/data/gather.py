"""Opens the data that an experiment trains and tests on: in memory, or as records on disk."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np

from jssl.data.catalog import RECORDS, load, named, open_records
from jssl.data.reading.decode import decoders
from jssl.data.reading.memory import decode_all, decode_squares, fits_in_memory, shaped_like
from jssl.data.reading.records import Records, Some, in_memory
from jssl.data.reading.sizes import CANVAS, sides
from jssl.data.source import IMAGE_SIZE, NoSplit, Source
from jssl.data.sources.arrays import from_arrays
from jssl.data.sources.folder import Files
from jssl.data.sources.tfds import one_size
from jssl.data.splits import balanced, by_name, evenly, held_out, shared, why_not_probed
from jssl.run.data.known import marks_of
from jssl.run.data.npz import held
from jssl.run.data.own_data import Numbered, Passing, opened
from jssl.run.settings.experiment import Data

SAMPLE = 10_000  # images that the probes use of data too large for memory
Chosen = Callable[[np.ndarray], np.ndarray]  # labels -> numbers of the images that are trained on
FEW = 128  # images of such data that health figures use
UNKNOWN = "labels of samples by number that do not fit in memory are not known beforehand"


@dataclass(frozen=True)
class Gathered:
    """Data of a run.

    Args:
        train: training images as steps see them: all of them, or a few where they stay on disk.
        source: training images as probes see them, all of one size: all of them, or a sample of those on
            disk.
        records: the training data where it does not fit in memory, else None.
        test: held-out images of the same classes and size as `source`; None where nothing can be probed.
        held_out: a sentence that says which, where `test` was split off the training data, else "".
        notes: sentences about the data for the user.
        passing: batches that are taken as they come, in place of all images; `train` is the first of them.
        marks: marks that identify the training data, as `marks_of` returns them.
    """

    train: Source
    source: Source
    records: Records | None
    test: Source | None
    held_out: str = ""
    notes: tuple[str, ...] = ()
    passing: Passing | None = None
    marks: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        if self.passing is not None:
            return self.passing.images
        return len(self.train if self.records is None else self.records)

    @property
    def canvas(self) -> int:
        return self.train.images.shape[1]


def gather(
    data: Data,
    *,
    data_dir: str | None = None,
    canvas: int = CANVAS,
    share: float = 1.0,
    per_class: int | None = None,
    only: str | None = None,
) -> Gathered:
    """Opens data and reads what fits in memory.

    Without test images, a tenth of the labelled training images is held out.

    Args:
        data: A name or a path; a `Source`, samples by number or batches, as `own_data.opened` takes them, or
            a pair of these to train and to test on.
        data_dir: Where TFDS has its data sets.
        canvas: The largest side that images in files are kept at, in pixels.
        share, per_class: Of the training images, as `balanced`; what is held out is no part of them.
        only: A file of `jssl curate` with the names of the only training images to use.
    Returns:
        `Gathered`.
    Raises:
        ValueError, FileNotFoundError, ImportError: where it cannot be read, saying what to do.
    """
    some = None if share == 1.0 and per_class is None else partial(balanced, share=share, per_class=per_class)
    data = str(data) if isinstance(data, PurePath) else data
    if isinstance(data, tuple) and len(data) != 2:
        raise ValueError(f"data is a tuple of {len(data)}; a pair is to train and to test on")
    if not isinstance(data, str):
        train, held = data if isinstance(data, tuple) else (data, None)
        arrays, train = isinstance(train, Source), opened(train)
        name, test = train.name, None if held is None else opened(held)
        if isinstance(train, Passing):
            if only is not None:
                raise ValueError("--only chooses images by name; batches of your own have none")
            if some is not None:
                raise ValueError(
                    "--share and --per-class choose among all images, not of batches as they come"
                )
            return _of_given(name, train, test, canvas, some)
        train = only_named(train, in_memory(train) if isinstance(train, Source) else train, only)
        return _marked(_of_given(name, train, test, canvas, some), train, pixels=arrays)
    data = named(data)
    kind = data.partition(":")[0]
    if kind not in RECORDS:
        train = load(data, data_dir=data_dir)
        train = only_named(train, in_memory(train), only)
        found = _of_sources(train, _test(load, data, data_dir), some)
        return _marked(found, train, pixels=kind == "npz")
    records, test = open_records(data, data_dir=data_dir), _test(open_records, data, data_dir)
    if kind == "tfds" and one_size(records) and fits_in_memory(records, canvas=_side(records)):
        test = test and load(data, data_dir=data_dir, split="test")
        train = only_named(load(data, data_dir=data_dir), records, only)
        return _marked(_of_sources(train, test, some), train)
    records = only_named(records, records, only)
    return _marked(_of_records(data, records, test, canvas, some), records)


def _marked(found: Gathered, whole: Source | Records, *, pixels: bool = False) -> Gathered:
    train = found.train if found.records is None else None
    return replace(found, marks=marks_of(whole, train, pixels=pixels))


def only_named(found, records: Records, path: str | None):
    """Takes those of the training images that a file of `jssl curate` names.

    Args:
        found: A `Source`, or records.
        records: The same as records, whose names are compared.
        path: Of the file; None: all are taken.
    Returns:
        A `Source`, or records.
    Raises:
        ValueError: for another file, or names that are not in the data.
    """
    if path is None:
        return found
    listed = held(path, ("names",), what="a file of `jssl curate`, for --only").get("names")
    if listed is None or listed.ndim != 1:
        raise ValueError(f"--only {path} has no list of names; `jssl curate` writes such files")
    names = set(listed.tolist())
    rows = np.array([row for row in range(len(records)) if records.describe(row) in names], int)
    if len(rows) < len(names):
        raise ValueError(
            f"--only {path}: {len(names) - len(rows):,} of its {len(names):,} images are not in the data; "
            "give the data that it was made of"
        )
    return found.some(rows) if isinstance(found, Source) else Some(found, rows)


def _of_given(name: str, train, test, canvas: int, some: Chosen | None) -> Gathered:
    """Data that was given as objects."""

    if isinstance(train, Passing) and test is None:
        first: dict[str, Any] = dict(train.first)
        source = from_arrays(first.pop("image"), first.pop("label", None), name=train.name, **first)
        notes = (train.note, f"{train.name}: no probes: they need all of the images")
        return Gathered(source, source, None, None, notes=notes, passing=train)
    if isinstance(train, Passing) or isinstance(test, Passing):
        raise ValueError("data to train and to test on may be batches only where they end and fit in memory")
    parts, names = (train, test), (name, test and test.name)
    canvases = [
        None if isinstance(part, Source | None) else sides(part, canvas=canvas).canvas for part in parts
    ]
    sized = list(zip(parts, canvases, strict=True))
    if all(side is None or fits_in_memory(part, canvas=side) for part, side in sized):
        train, test = (
            part if side is None else decode_all(part, canvas=side, name=of)
            for (part, side), of in zip(sized, names, strict=True)
        )
        return _of_sources(train, test, some)
    train, test = (in_memory(part) if isinstance(part, Source) else part for part in (train, test))
    return _of_records(name, train, test, canvas, some)


def _side(records):
    return max(records.source.dataset_info.features["image"].shape[:2])


def _test(read, data, directory):
    try:
        return read(data, data_dir=directory, split="test")
    except NoSplit:
        return None


def _of_sources(train: Source, test: Source | None, some: Chosen | None) -> Gathered:
    """Data in memory."""
    said = why = ""
    if test is None:
        held, said, why = _split_off(train.labels)
        test, train = (train.some(held), train.some(~held)) if said else (None, train)
    notes: tuple[str, ...] = ()
    if some is not None:
        rows = _rows(some, train.labels, train.name)
        notes, train = (_fewer(train.name, len(rows), len(train)),), train.some(rows)
    source = train
    if IMAGE_SIZE in train.extras:
        side = sides(in_memory(train), canvas=train.images.shape[1]).square
        source = decode_squares(in_memory(train), side=side, name=train.name)
        test = test and (
            decode_squares(in_memory(test), side=side, name=test.name) if IMAGE_SIZE in test.extras else test
        )
    return _matched(train, source, None, test, said, why, notes)


def _of_records(
    name: str, records: Records, test: Records | None, canvas: int, chosen_of: Chosen | None
) -> Gathered:
    """Data in files, decoded into memory where it fits."""
    said = why = ""
    if test is None:
        records, test, said, why = without_a_tenth(records)
        why = why if _known(records) else f"{UNKNOWN}; give a pair, to train and to test on"
    notes: tuple[str, ...] = ()
    if chosen_of is not None:
        rows = _rows(chosen_of, _labels(records), name, "there are none" if _known(records) else UNKNOWN)
        notes, records = (_fewer(name, len(rows), len(records)),), Some(records, rows)
    chosen = sides(records, canvas=canvas)
    fits = fits_in_memory(records, canvas=chosen.canvas)
    train = decode_all(records if fits else _sample(records, FEW), canvas=chosen.canvas, name=name)
    if fits and chosen.alike and (train.extras[IMAGE_SIZE] == chosen.canvas).all():
        source = train
    else:
        some = in_memory(train) if fits else _sample(records, SAMPLE)
        source = decode_squares(some, side=chosen.square, name=name)
    side = source.images.shape[1]
    if test is not None and not (fits and fits_in_memory(test, canvas=side)) and len(test) > SAMPLE:
        notes += (f"{name}: probes look at {SAMPLE:,} of {len(test):,} test images",)
        test = _sample(test, SAMPLE)
    held = test and decode_squares(test, side=side, name=name)
    return _matched(train, source, None if fits else records, held, said, why, (f"{name}: {chosen}", *notes))


def _rows(some: Chosen, labels: np.ndarray, name: str, lacking: str = "there are none") -> np.ndarray:
    rows = some(labels)
    if not len(rows):
        raise ValueError(f"{name}: --per-class takes images by their labels, and {lacking}")
    return rows


def _fewer(name: str, count: int, all_: int) -> str:
    return f"{name}: trains on {count:,} of {all_:,} training images, chosen class by class"


def _known(records: Records) -> bool:
    """Whether labels are known without decoding all images."""
    if isinstance(records, Some):
        return _known(records.records)
    return not isinstance(records, Numbered) or bool(records.class_names)


def _labels(records: Records) -> np.ndarray:
    """The labels of all records, read one by one where they have to be."""
    if isinstance(records, Some):
        return _labels(records.records)[np.asarray(records.rows)]
    if isinstance(records, Numbered) and isinstance(records.source, Files | Some):
        return _labels(records.source)  # known without reading the files
    if hasattr(records, "labels"):
        return records.labels
    if not records.class_names:
        return np.full(len(records), -1)
    with ThreadPoolExecutor(decoders()) as pool:
        labels = pool.map(lambda number: records[number].get("label", -1), range(len(records)))
        return np.fromiter(labels, np.int32, len(records))


def _sample(records: Records, count: int) -> Records:
    """At most so many of the records, spread over them."""
    return Some(records, evenly(len(records), count))


def without_a_tenth(records: Records) -> tuple[Records, Records | None, str, str]:
    """Holds out a tenth of records that have no test split: the same ones in training and later evaluation.

    They are chosen before anything is decoded, so that a damaged image does not change the split of another.

    Args:
        records: All of them.
    Returns:
        (those to train on, those held out or None, a sentence about it, the reason why there are none).
    """
    held, said, why = _split_off(_labels(records))
    if not said:
        return records, None, said, why
    return Some(records, np.flatnonzero(~held)), Some(records, np.flatnonzero(held)), said, why


def _split_off(labels: np.ndarray) -> tuple[np.ndarray, str, str]:
    """Which images are held out, a sentence that says so, and why there are none where that could not be
    probed.
    """
    held = held_out(labels)
    if why := why_not_probed(labels[~held], labels[held]):
        return np.zeros(len(labels), bool), "", f"there is no test split, and with a tenth held out {why}"
    return (
        held,
        (
            f"there is no test split: {held.sum():,} of {len(labels):,} training images, "
            "a stratified tenth, are held out for the probes"
        ),
        "",
    )


def _labelled(source: Source) -> Source:
    return source if source.labels.min() >= 0 else source.some(source.labels >= 0)


def _matched(train, source, records, test, said, why, notes) -> Gathered:
    """With test images of the training images' classes and size, or a sentence why nothing is probed."""
    sentences = [f"{source.name}: {said}"] if said else []
    if test is not None:
        test, unmatched = by_name(shaped_like(test, source), source.class_names)
        sentences += [f"{source.name}: {one}" for one in unmatched]
        why = why_not_probed(source.labels, test.labels)
    if why or test is None:
        test = None
        sentences.append(f"{source.name}: no probes: {why}")
    else:
        source, test = _labelled(source), _labelled(test)
        if same := shared(source.images, test.images):
            least = "" if records is None else "at least "  # only some of those on disk are compared
            sentences.append(
                f"{source.name}: {least}{same:,} of {len(test):,} test images are training images too, pixel "
                "for pixel: probes have learned their labels"
            )
    return Gathered(train, source, records, test, said, (*notes, *sentences))
