"""Opens what data has beside images and classes: labels of pixels, films, searches, copies, captions."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jssl.data.catalog import load, named
from jssl.data.reading.records import Records, in_memory
from jssl.data.source import DENSE, EASY, HARD, JUNK, Source
from jssl.data.sources.arrays import from_arrays
from jssl.data.sources.folder import folder, printable
from jssl.data.sources.scene_tasks import Search, copy_search, same_object_search, scene_films
from jssl.data.sources.scenes import caption, scenes
from jssl.extras import extra

FRAMES, OBJECTS = "frames", "objects"  # folders of films
QUERIES, GALLERY, ANSWERS = "queries", "gallery", "answers.json"  # what a folder to search holds
CAPTIONS = "captions.json"
VOID = 255  # stands for -1 in uint8 masks
RELEVANCE = {"easy": EASY, "hard": HARD, "junk": JUNK}  # of an image of the gallery to a query


class Films(NamedTuple):
    """Films whose objects are known in every frame.

    Attributes:
        frames: Records of the frames, film after film.
        objects: Of each film, [T, side, side] integers: 0 for none, else the object's number.
    """

    frames: Records
    objects: Sequence[np.ndarray]


def densely_labelled(data: str, *, split: str = "train") -> Source | None:
    """Opens images whose pixels have labels.

    Args:
        data: The data's name: scenes, or an npz file with `segmentation`, `depth` or `objects`.
        split: "train" or "test".
    Returns:
        A `Source` whose extras are the labels; None for data without them. 255 in a uint8 segmentation, VOC's
        label for pixels that do not count, becomes -1.
    Raises:
        NoSplit: where the data has no test split.
        ValueError: for labels that do not belong to the images.
    """
    kind, _, rest = named(data).partition(":")
    if kind == "scenes":
        return scenes(split=split, label=rest or "shape", fields=DENSE)
    if kind != "npz":
        return None
    source = load(data, split=split)
    for name in (name for name in DENSE if name in source.extras):
        if (shape := source.extras[name].shape)[1:] != source.images.shape[1:3]:
            height, width = source.images.shape[1:3]
            raise ValueError(
                f"{source.name}: {name} has shape {shape}, expected [N, {height}, {width}], as the images"
            )
    if (masks := source.extras.get("segmentation")) is not None and masks.dtype == np.uint8:
        masks = np.where(masks == VOID, -1, masks.astype(np.int16))
        source = replace(source, extras={**source.extras, "segmentation": masks})
    return source if set(DENSE) & set(source.extras) else None


def films(data: str, *, side: int) -> Films | None:
    """Opens films whose objects are known.

    Args:
        data: "scenes", or a folder with `frames/FILM/...` and, of the same names, `objects/FILM/...png`,
            whose pixels are numbers of objects: DAVIS's JPEGImages/480p and Annotations/480p are such.
        side: Of the masks, which are central squares, as the network sees the frames, and of drawn scenes.
    Returns:
        `Films`; None for data without films.
    Raises:
        ValueError: for frames without a mask, or masks that hold no numbers.
    """
    kind, _, path = named(data).partition(":")
    if kind == "scenes":
        drawn = scene_films(side=side)
        images = drawn["image"].reshape(-1, *drawn["image"].shape[2:])
        return Films(in_memory(from_arrays(images, name="films of scenes")), list(drawn["objects"]))
    if kind != "folder" or not all(os.path.isdir(os.path.join(path, part)) for part in (FRAMES, OBJECTS)):
        return None
    frames = folder(os.path.join(path, FRAMES))
    if not frames.class_names:
        raise ValueError(f"{data}: {FRAMES} holds images, expected a folder for each film")
    stems = [os.path.splitext(one)[0] for one in frames.paths]
    masks = [_mask(os.path.join(path, OBJECTS, f"{stem}.png"), side) for stem in stems]
    numbers = range(len(frames.class_names))
    return Films(frames, [np.stack([masks[i] for i in np.flatnonzero(frames.labels == n)]) for n in numbers])


def _mask(path: str, side: int) -> np.ndarray:
    """The central square of a mask; no numbers are interpolated."""
    with extra():
        from PIL import Image
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "1", "I;16", "I"):
                raise ValueError(f"{path}: a mask holds numbers of objects, this is a picture ({image.mode})")
            least = min(image.size)
            left, top = ((length - least) // 2 for length in image.size)
            box = left, top, left + least, top + least
            found = image.resize((side, side), Image.Resampling.NEAREST, box)
            return np.asarray(found).astype(np.int32)
    except OSError as error:
        raise ValueError(f"{path}: the frame's mask cannot be read: {error.strerror or error}") from None


def same_search(data: str, *, side: int) -> Search | None:
    """Opens query images, and the gallery that is searched for each of them.

    Args:
        data: "scenes", or a folder with `queries`, `gallery` and `answers.json`, which says of each query
            which images of the gallery are "easy", "hard" and "junk", by their paths in the two folders.
        side: Of drawn scenes, in pixels.
    Returns:
        A `Search` of records; None for data without queries.
    Raises:
        ValueError: for answers that name no image.
    """
    kind, _, path = named(data).partition(":")
    if kind == "scenes":
        return _of_scenes(same_object_search(side=side))
    return _of_folder(path, data) if kind == "folder" else None


def copy_task(data: str, *, side: int) -> tuple[Search, Records] | None:
    """Opens altered copies, the gallery that holds their originals, and other images to learn whitening from.

    Args:
        data: "scenes", or a folder as for `same_search`: a copy's original is its "easy" answer. Beside it a
            folder `train` holds the other images.
        side: Of drawn scenes, in pixels.
    Returns:
        (a `Search` of records, records of the other images); None for data without copies.
    Raises:
        ValueError: for answers that name no image, or no folder `train`.
    """
    kind, _, path = named(data).partition(":")
    if kind == "scenes":
        others = in_memory(scenes(split="train", side=side, count=1024, fields=()))
        return _of_scenes(copy_search(side=side)), others
    found = _of_folder(path, data) if kind == "folder" else None
    if found is None:
        return None
    if not os.path.isdir(os.path.join(path, "train")):
        raise ValueError(f"{data}: whitening is learned from other images; put them into {path}/train")
    return found, folder(os.path.join(path, "train"))


def _of_scenes(search: Search) -> Search:
    queries, gallery = (
        in_memory(from_arrays(images, name=f"{part} of scenes"))
        for part, images in ((QUERIES, search.queries), (GALLERY, search.gallery))
    )
    return Search(queries, gallery, search.relevance)


def _of_folder(path: str, data: str) -> Search | None:
    if not all(os.path.isdir(os.path.join(path, part)) for part in (QUERIES, GALLERY)):
        return None
    queries, gallery = (folder(os.path.join(path, part)) for part in (QUERIES, GALLERY))
    answers = _json(os.path.join(path, ANSWERS), data)
    relevance = np.zeros((len(queries), len(gallery)), np.int32)
    rows, columns = ({name: i for i, name in enumerate(files.paths)} for files in (queries, gallery))
    for query, found in answers.items():
        if not (query in rows and isinstance(found, dict) and set(found) <= set(RELEVANCE)):
            raise ValueError(
                f"{data}: {ANSWERS} has {query!r}: expected an image of {QUERIES}, with "
                f"{', '.join(RELEVANCE)}"
            )
        for kind, names in found.items():
            if unknown := next((name for name in names if name not in columns), None):
                raise ValueError(f"{data}: {ANSWERS} names {unknown!r}, which is no image of {GALLERY}")
            relevance[rows[query], [columns[name] for name in names]] = RELEVANCE[kind]
    return Search(queries, gallery, relevance)


def captions(data: str, *, split: str = "test") -> dict[str, str] | None:
    """Reads the caption of each image.

    Args:
        data: "scenes", or a folder with `captions.json`: {an image's path in the folder: its caption}.
        split: "train" or "test", of scenes.
    Returns:
        {the name of an image, as `describe` of the records gives it: its caption}; None for data without
        captions.
    Raises:
        ValueError: for a file that holds no captions.
    """
    kind, _, path = named(data).partition(":")
    if kind == "scenes":
        source = load(data, split=split)
        found = map(caption, source.extras["attributes"])
        return {f"{source.name}[{number}]": text for number, text in enumerate(found)}
    if kind != "folder" or not os.path.exists(os.path.join(path, CAPTIONS)):
        return None
    held = _json(os.path.join(path, CAPTIONS), data)
    if wrong := next((name for name, text in held.items() if not isinstance(text, str)), None):
        raise ValueError(f"{data}: {CAPTIONS} has no sentence for {wrong!r}")
    return {printable(os.path.join(path, name)): text for name, text in held.items()}


def _json(path: str, data: str) -> dict:
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise ValueError(f"{data}: {os.path.basename(path)} cannot be read: {reason}") from None
    return found
