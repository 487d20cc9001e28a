"""Marks that identify networks and data sets: one that changes under the same name has another mark."""

import hashlib
import json
import os
import re
from typing import Any

import jax
import numpy as np

from jssl.arrays.trees import names
from jssl.data.reading.records import Records, Some
from jssl.data.sources.folder import Files
from jssl.data.splits import evenly
from jssl.run.evaluation.baselines import take_in
from jssl.weights.loaded import Loaded
from jssl.weights.own import about

SAMPLED = 64  # records whose bytes identify a data set, where reading all of them takes long


def mark_of_network(loaded: Loaded) -> str:
    """Makes a mark of a network from its variables, its architecture and its preprocessing.

    Args:
        loaded: The network.
    Returns:
        Hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        digest.update(json.dumps(about(loaded.encoder, loaded.preprocess), sort_keys=True).encode())
    except ValueError:  # a network of the user's own that has no name
        shown = f"{loaded.encoder!r} {loaded.preprocess!r}"
        digest.update(re.sub(r" at 0x[0-9a-f]+", "", shown).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(loaded.variables):
        digest.update(f"{names(path)}".encode())
        take_in(digest, leaf)
    return digest.hexdigest()


def mark_of_data(records: Records) -> str:
    """Makes a mark of records: of images in memory from all their bytes, of files from path, size and time.

    Args:
        records: The images.
    Returns:
        Hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{type(records).__name__} {len(records)} {records.class_names}".encode())
    source: Any = getattr(records, "source", None)
    if isinstance(records, Some):
        digest.update(mark_of_data(records.records).encode() + np.asarray(records.rows, np.int64).tobytes())
    elif hasattr(source, "columns"):
        for name, column in source.columns.items():
            digest.update(name.encode())
            take_in(digest, column)
    elif isinstance(records, Files):
        digest.update(repr(records.root).encode())  # names are cached too, and captions are found by them
        for path, label in zip(records.paths, records.labels, strict=True):
            try:
                found = os.stat(os.path.join(records.root, path))
                told = f"{found.st_size} {found.st_mtime_ns}"
            except OSError:  # a list may name what is not there, which is left out
                told = "missing"
            digest.update(f"{path!r} {label} {told}".encode())
    else:
        for number in evenly(len(records), SAMPLED):
            record = records[int(number)]
            image = record["image"]
            digest.update(f"{records.describe(int(number))} {record.get('label', -1)}".encode())
            digest.update(image if isinstance(image, bytes) else np.asarray(image).tobytes())
    return digest.hexdigest()
