"""Chooses images from a pool by their features: drops copies, drops what resembles evaluation images, and
keeps the nearest of wanted ones.

    jssl embed dinov2_vits14 folder:/pool --out pool.npz
    jssl curate pool.npz --copies 0.6 --out kept.npz
    jssl curate pool.npz --copies 0.6 --held-out test.npz --wanted few.npz --nearest 32 --out kept.npz
    jssl train dino --data folder:/pool --only kept.npz

The file has `names` and `rows` of the images that are kept, in the pool's order; `jssl train` takes it by
--only. All pairs are compared: N images with features of width D cost N^2 D multiplications and N D floats
of memory on the device. In a larger pool an index of faiss finds the neighbours:

    jssl curate pool.npz --copies 0.6 --index IVF65536,Flat --out kept.npz
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jssl.evaluate.curation import (
    PROBES,
    by_index,
    retrieve,
    retrieve_by_cluster,
    without,
    without_copies,
)
from jssl.evaluate.curation import neighbours as exactly
from jssl.run.data.npz import check_place
from jssl.run.evaluation.features import check_made_alike, read_columns


def curate(
    pool,
    out,
    *,
    copies: float | None = None,
    neighbours: int = 64,
    held_out=None,
    held_out_above: float = 0.45,
    wanted=None,
    nearest: int = 4,
    clusters: int | None = None,
    index: str | None = None,
    probes: int = PROBES,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Chooses images of a pool, and writes their names and rows to a file.

    Args:
        pool: A file of `jssl embed`.
        out: The .npz file.
        copies: Images whose cosine is above it are copies, of which one is kept; None: all are kept.
        neighbours: How many neighbours of each image are checked for copies.
        held_out: A file of `jssl embed` with evaluation images: images that resemble one are dropped.
        held_out_above: The cosine above which one image resembles another.
        wanted: A file of `jssl embed` with wanted images; None: all images that are left are kept.
        nearest: Images retrieved for each wanted image.
        clusters: Into how many clusters the pool is divided; in place of the nearest images, those of
            clusters with more than three wanted images are kept, at most 10,000 of each and a million in all.
        index: The faiss index that finds copies and nearest images, as for `by_index`; None: an exact search.
        probes: Lists of an inverted file that are searched for an image.
        say: Where lines for the reader go.
    Returns:
        The file's path.
    Raises:
        ValueError: for files without features, of different networks or widths, or where nothing is left.
        ImportError: for an index without faiss.
    """
    out = Path(out)
    check_place(out, "rows", "about")
    if not out.absolute().parent.is_dir():
        raise ValueError(f"--out {out}: there is no such folder; make it first")
    for flag, cosine in {"copies": copies, "held-out-above": held_out_above}.items():
        if cosine is not None and not -1 <= cosine <= 1:
            raise ValueError(f"--{flag} is a cosine, from -1 to 1, got {cosine}")
    search = exactly if index is None else by_index(index, probes=probes)
    check_made_alike(pool, held_out, wanted)
    features, names = _embedded(pool)
    rows = np.arange(len(features))
    say(f"{pool}: {len(rows):,} images")
    if copies is not None:
        kept = without_copies(features, threshold=copies, k=neighbours, search=search)
        say(f"without copies, cosines above {copies:g}: {len(kept):,}")
        features, rows = features[kept], rows[kept]
    if held_out is not None:
        kept = without(features, _embedded(held_out)[0], threshold=held_out_above)
        say(f"without what resembles {held_out}, cosines above {held_out_above:g}: {len(kept):,}")
        features, rows = features[kept], rows[kept]
    if wanted is not None and len(rows):
        if clusters is None:
            kept = retrieve(features, _embedded(wanted)[0], k=min(nearest, len(features)), search=search)
            told = f"nearest to {wanted}, {nearest} of each"
        else:
            kept = retrieve_by_cluster(features, _embedded(wanted)[0], clusters=clusters)
            told = f"in the clusters of {wanted}, of {clusters:,}"
        say(f"{told}: {len(kept):,}")
        features, rows = features[kept], rows[kept]
    if not len(rows):
        raise ValueError(f"{pool}: no image is left; raise the thresholds")
    asked = dict(pool=str(pool), copies=copies, neighbours=neighbours, held_out_above=held_out_above)
    asked |= dict(held_out=held_out and str(held_out), wanted=wanted and str(wanted), nearest=nearest)
    asked |= dict(clusters=clusters, index=index, probes=probes)
    np.savez(out, names=names[rows], rows=rows, about=np.array(json.dumps(asked)))
    return out


def _embedded(path) -> tuple[np.ndarray, np.ndarray]:
    """Features and names of a file of `jssl embed`."""
    found = read_columns(path)
    features, names = found.features, found.names
    if features.ndim != 2 or not len(features):
        raise ValueError(f"{path} has features {list(features.shape)}; embed one vector of each image")
    if names is None:
        raise ValueError(f"{path} has no names of images; `jssl embed` writes them")
    if not np.isfinite(features).all():
        raise ValueError(f"{path} has features that are not finite; embed the images again")
    return features, names


def main(arguments: list[str]) -> None:
    """The command `jssl curate`."""
    parser = argparse.ArgumentParser(
        prog="jssl curate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", help="a file of `jssl embed`")
    parser.add_argument("--out", required=True, help="the .npz file to write")
    parser.add_argument("--copies", type=float, help="drop copies: images whose cosine is above this")
    parser.add_argument(
        "--neighbours", type=int, default=64, help="how many neighbours of each image are checked for copies"
    )
    parser.add_argument("--held-out", help="a file of `jssl embed` of images that are evaluated on")
    parser.add_argument(
        "--held-out-above", type=float, default=0.45, help="drop images whose cosine with one is above this"
    )
    parser.add_argument("--wanted", help="a file of `jssl embed` of images of which more are wanted")
    parser.add_argument("--nearest", type=int, default=4, help="how many images are kept for each wanted one")
    parser.add_argument(
        "--clusters", type=int, help="make so many clusters, and keep whole ones in place of --nearest"
    )
    parser.add_argument("--index", help="of faiss, such as IVF65536,Flat; by default all are compared")
    parser.add_argument(
        "--probes", type=int, default=PROBES, help="how many lists of the index are searched for an image"
    )
    chosen = vars(parser.parse_args(arguments))
    for name in ("neighbours", "nearest", "clusters", "probes"):
        least = 2 if name == "neighbours" else 1  # the first of these is the image itself
        if chosen[name] is not None and chosen[name] < least:
            raise ValueError(f"--{name} must be at least {least}, got {chosen[name]}")
    path = curate(**chosen, say=print)
    print(f"{path}: names and rows of the images that are kept; jssl train ... --only {path}")
