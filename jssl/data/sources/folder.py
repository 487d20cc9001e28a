"""Image files under a folder, or those that a list file names."""

import codecs
import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jssl.data.reading.decode import EXTENSIONS, read_bytes
from jssl.data.source import NoSplit

log = logging.getLogger(__name__)

SPLITS = {  # names of a split's folder, in upper or lower case; of several, the first with labels is taken
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "valid", "validation"),
}
LIST_LIMIT = 2**30  # bytes of a list file


@dataclass(frozen=True)
class Files:
    """Image files; a record is a file's bytes.

    Args:
        root: the folder that paths are relative to.
        paths: one per image.
        labels: int32 [N], -1 where there is none.
        class_names: one per class.
    """

    root: str
    paths: Sequence[str]
    labels: np.ndarray
    class_names: tuple[str, ...] = ()

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        data = read_bytes(os.path.join(self.root, self.paths[index]))
        return {"image": data, "label": self.labels[index]}

    def describe(self, index):
        return printable(os.path.join(self.root, self.paths[index]))


def printable(name: str) -> str:
    r"""Escapes what a line of text cannot hold: line breaks, and bytes of a file's name that are not UTF-8.

    Examples:
        >>> print(printable("a\nb\udcff"))
        a\nb\udcff
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def folder(path: str, *, split: str = "train") -> Files:
    """Lists image files.

    Folders inside are classes, in alphabetical order; images that lie directly in it, without such folders,
    have no labels. With a folder `train` or `training` inside, in any case, that is the training split, and
    `test`, `testing`, `val`, `valid` or `validation` is the test split; the first of these with labels is
    taken, and what lies beside them is passed over. So are hidden files and folders, and what is not a file
    of a known image format; how many there are is logged. Folders that are linked to are followed once. A
    text file lists one path a line, relative to itself, with a label after a tab if there is one; of an image
    that is named twice, the first line counts. Files are not opened, so a million of them are listed in
    seconds.

    Args:
        path: of the folder or the list file.
        split: "train" or "test".
    Returns:
        `Files`, sorted by path. Labels are numbered by the split's own class names.
    Raises:
        FileNotFoundError: where there is nothing of that name.
        PermissionError: where a folder may not be read.
        NoSplit: where there is no test split.
        ValueError: where there are no images, or images lie beside class folders.
    """
    name = f"folder:{printable(path)}"
    if not os.path.isdir(path):
        if not os.path.exists(path):
            raise FileNotFoundError(f"{name}: there is no such folder or list file")
        if split == "test":
            raise NoSplit(f"{name}: a list file has no test split")
        return _listed(path, name)
    found = _walk(path, name)
    tops = _by_first(found.paths)
    splits = _split_folders(tops, name)
    if splits is not None:
        others = [paths for top, paths in tops.items() if top not in splits.values()]
        found.passed["images in no folder of these splits"] = sum(map(len, others))
    if split == "train":
        _report(found.passed, name)
    if splits is None:
        if split == "test":
            raise NoSplit(f"{name}: there is no test split; name folders inside train and test to have one")
        return _files(path, tops, name)
    if split not in splits:
        raise NoSplit(f"{name}: there is no test split beside {printable(splits['train'])}")
    top = splits[split]
    return _files(os.path.join(path, top), _by_first(tops[top]), f"{name}/{printable(top)}")


class _Found(NamedTuple):
    """Paths below a folder, with / between their parts, and what was passed over, by its kind."""

    paths: list[str]
    passed: Counter


def _walk(path, name):
    """All images below a folder; a folder that several links lead to is read once."""
    paths, passed, seen, waiting = [], Counter(), set(), [""]
    while waiting:
        prefix = waiting.pop()
        here = os.path.join(path, prefix)
        try:
            found = os.stat(here)
            if (found.st_dev, found.st_ino) in seen:
                passed["folders met before"] += 1
                continue
            seen.add((found.st_dev, found.st_ino))
            with os.scandir(here) as entries:
                inner = sorted(entries, key=lambda entry: entry.name)
        except PermissionError:
            raise PermissionError(
                f"{name}: {printable(here)} may not be read; change its permissions"
            ) from None
        except OSError:
            passed["folders that cannot be opened"] += 1
            continue
        folders = []
        for entry in inner:
            if entry.name.startswith("."):
                passed["hidden entries"] += 1
            elif _is(entry.is_dir):
                folders.append(prefix + entry.name + "/")
            elif not _is(entry.is_file):
                passed["entries that are not ordinary files"] += 1
            elif entry.name.lower().endswith(EXTENSIONS):
                paths.append(prefix + entry.name)
            else:
                passed["files that are not of a known image format"] += 1
        waiting += reversed(folders)
    return _Found(paths, passed)


def _is(ask):
    try:
        return ask()
    except OSError:  # a link that leads around in a circle
        return False


def _report(passed, name):
    """Logs in one line what was passed over, if anything was."""
    if counted := ", ".join(f"{number:,} {kind}" for kind, number in passed.items() if number):
        log.warning("%s: passed over %s", name, counted)


def _by_first(paths):
    """The paths below each top folder; those of images that lie in no folder go by ""."""
    tops = {}
    for path in paths:
        top, slash, rest = path.partition("/")
        tops.setdefault(top if slash else "", []).append(rest if slash else top)
    return dict(sorted(tops.items()))


def _split_folders(tops, name):
    """{"train": folder name, "test": folder name if there is one}; None where folders are classes."""
    found = {
        split: [top for wanted in wanteds for top in tops if top.lower() == wanted]
        for split, wanteds in SPLITS.items()
    }
    others = [top for top in tops if top and top not in found["train"] + found["test"]]
    labelled = [top for top in found["train"] + found["test"] if any("/" in path for path in tops[top])]
    if others and not found["test"] and not labelled:  # classes, one of which is called train
        return None
    if not found["train"]:
        if found["test"] and not others:
            raise ValueError(f"{name}: there is a folder {found['test'][0]} but none called train")
        return None
    if len(found["train"]) > 1:
        raise ValueError(f"{name}: both {' and '.join(found['train'])} are there; keep one training split")
    test = sorted(found["test"], key=lambda top: top not in labelled)[:1]
    return dict(zip(SPLITS, [found["train"][0], *test], strict=False))


def _files(root, tops, name):
    """The images below a root, labelled by the folder they are in."""
    heap, names = tops.get("", []), [top for top in tops if top]
    if heap and names:
        raise ValueError(
            f"{name}: {len(heap)} images lie beside the class folders {', '.join(map(printable, names[:3]))} "
            "...; move them into a class folder or out of the way"
        )
    if heap:
        return Files(root, sorted(heap), np.full(len(heap), -1, np.int32))
    if not names:
        raise ValueError(f"{name}: there are no images in it ({', '.join(EXTENSIONS)})")
    paths = [f"{top}/{path}" for top in names for path in sorted(tops[top])]
    labels = np.repeat(np.arange(len(names), dtype=np.int32), [len(tops[top]) for top in names])
    return Files(root, paths, labels, tuple(map(printable, names)))


def _listed(path, name):
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > LIST_LIMIT:
            raise ValueError(
                f"{name}: it is neither a folder nor a list file of at most {LIST_LIMIT:,} bytes"
            )
        with open(path, "rb") as file:
            lines = _lines(file.read())
    except OSError as error:
        raise type(error)(f"{name}: it cannot be read: {error.strerror}") from None
    passed = Counter({"lines that hold a zero byte": sum("\0" in line for line in lines)})
    lines = [line for line in lines if line.strip() and "\0" not in line]
    if not lines:
        raise ValueError(f"{name}: the list is empty; it needs one image path a line")
    tabs = {line.count("\t") for line in lines}
    if tabs not in ({0}, {1}):
        raise ValueError(f"{name}: every line needs a path, or a path, a tab and a label; the lines differ")
    root, written = os.path.dirname(os.path.abspath(path)), {}
    for line in lines:
        image, _, label = line.partition("\t")
        file = os.path.normpath(os.path.join(root, image.rstrip()))  # one form for each way to write it
        written.setdefault(file, (image.rstrip(), label.strip()))
    paths, found = map(list, zip(*written.values(), strict=True))
    passed["lines of an image that was named before"] = len(lines) - len(paths)
    _report(passed, name)
    if not any(found):
        return Files(root, paths, np.full(len(paths), -1, np.int32))
    if not all(found):
        raise ValueError(f"{name}: {found.count('')} of {len(found)} lines have no label after the tab")
    names = sorted(set(found), key=lambda one: (len(one), one) if one.isdigit() else (99, one))
    number = {one: i for i, one in enumerate(names)}
    labels = np.array([number[one] for one in found], np.int32)
    return Files(root, paths, labels, tuple(map(printable, names)))


def _lines(content):
    """The lines of a text of any editor: UTF-8 or, where its mark says so, UTF-16; LF, CRLF or CR."""
    wide = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    text = content.decode("utf-16", "replace") if wide else content.decode("utf-8-sig", "surrogateescape")
    return re.split("\r\n|[\r\n]", text)
