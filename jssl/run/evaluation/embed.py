"""Writes the features of a data set to a file, with names and labels.

    jssl embed dinov2_vits14_reg folder:/images --out features.npz
    jssl embed runs/dino tfds:cifar10 --split test --tokens mean --out features.npz
    jssl embed mae_vitb16 npz:data.npz --blocks 8 10 11 --out features.npz

The file has `features`, `labels` (-1 where there is none), `names` and `class_names`. Images are prepared as
by the publisher of the weights. Until the file is complete, finished parts are in OUT.partial; the same
command continues from there.
"""

import argparse
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jssl import weights
from jssl.data import Records, Source, in_memory, open_records
from jssl.data.catalog import FORMS
from jssl.data.reading.canvas import grey
from jssl.data.reading.decode import DamagedImage, as_rgb, decode, decoders
from jssl.data.reading.records import fetch
from jssl.data.source import IMAGE_SIZE
from jssl.extras import extra
from jssl.models import normed_class_tokens
from jssl.models.network import network, of_variables
from jssl.run.data.npz import check_place, shape_in
from jssl.run.evaluation.marks import mark_of_data, mark_of_network
from jssl.sharding import check_devices, make_mesh, over_batch, replicated
from jssl.weights.loaded import Loaded
from jssl.weights.preprocessing import Preprocess

TOKENS = ("cls", "mean", "both", "patches", "layers")
LAYERS = 4  # last blocks whose class tokens "layers" has
FLUSH = 16  # batches in a part of the unfinished file
COLUMNS = ("features", "labels", "names")


def chooser(
    loaded: Loaded, *, tokens: str = "cls", blocks: Sequence[int] = ()
) -> Callable[[Any, jax.Array], jax.Array]:
    """Makes the function that computes the features that are wanted.

    Args:
        loaded: The weights.
        tokens: "cls" [B, D], "mean" over the patches [B, D], "both" side by side [B, 2 D], all "patches"
            [B, N, D], or "layers" [B, L + 1, D]: the class tokens of the last four blocks, each after the
            final norm, and the mean over the patches; of a network without them, its output and that mean.
        blocks: Numbers of blocks whose outputs are taken, side by side, in place of the network's own; from
            0, negative ones from the end.
    Returns:
        (variables, prepared images) -> features.
    Raises:
        ValueError: for unknown tokens, or blocks that the network does not have.
    """
    if tokens not in TOKENS:
        raise ValueError(f"--tokens must be one of {', '.join(TOKENS)}, got {tokens!r}")
    encoder = loaded.encoder
    depth = getattr(encoder, "depth", 0)
    if tokens == "layers" and blocks:
        raise ValueError("--tokens layers takes the last blocks; leave --blocks out")
    if any(not -depth <= block < depth for block in blocks):
        has = f"it has {depth}" if depth else "it has none that can be chosen"
        raise ValueError(f"--blocks {' '.join(map(str, blocks))}: the network has no such block; {has}")
    net, classes = network(encoder), int(getattr(encoder, "class_token", 0))
    prefix = classes + getattr(encoder, "registers", 0)

    def of(cls, patches):
        if tokens == "patches":
            return patches
        mean = patches.mean(1)
        return {"cls": cls, "mean": mean, "both": jnp.concatenate([cls, mean], -1)}[tokens]

    def features(variables, images):
        layers = tokens == "layers" and classes and "norm" in variables["params"]
        settings = {"collect": ("blocks",)} if blocks or layers else {}
        found, _ = net.apply(*of_variables(variables), images, **settings)
        if tokens == "layers":
            rows, mean = found.cls[:, None], found.tokens.mean(1)
            if layers:
                last = normed_class_tokens(encoder, variables, found, blocks=LAYERS)
                rows = last.reshape(len(mean), -1, mean.shape[-1])
            wide = max(rows.shape[-1], mean.shape[-1])  # the narrower one is padded with zeros
            parts = [jnp.pad(x, ((0, 0), (0, 0), (0, wide - x.shape[-1]))) for x in (rows, mean[:, None])]
            return jnp.concatenate(parts, 1)
        if not blocks:
            return of(found.cls, found.tokens)
        rows = [found.inner["blocks"][block] for block in blocks]
        each = [of(x[:, 0] if classes else x.mean(1), x[:, prefix:]) for x in rows]
        return jnp.concatenate(each, -1)

    return features


def embed(
    source: str | Path | Loaded,
    data: str | Path | Source | Records,
    out,
    *,
    data_dir: str | None = None,
    split: str = "train",
    tokens: str = "cls",
    blocks: Sequence[int] = (),
    size: int | None = None,
    batch: int = 64,
    say: Callable[[str], None] = lambda text: None,
    bar: bool = False,
) -> Path:
    """Writes the features of a data set.

    Batches are read ahead, spread over all devices, and written as they are done. A call that was interrupted
    goes on where it stopped.

    Args:
        source: Weights, as `jssl.weights.load` takes them: a published name, a file, or a run's directory.
        data: A name or a path, as `--data` of a run, a `Source`, or records.
        out: The .npz file.
        data_dir: Where TFDS has its data sets.
        split: "train" or "test".
        tokens, blocks: As `chooser`.
        size: Side of the prepared images, in place of the publisher's.
        batch: Images at a time.
        say: Where lines for the reader go.
        bar: Whether to show progress.
    Returns:
        The file's path.
    Raises:
        ValueError: where weights or data are not found, or do not fit.
    """
    check_devices()
    source = str(source) if isinstance(source, PurePath) else source
    data = str(data) if isinstance(data, PurePath) else data
    out = Path(out)
    check_place(out, "features", "about")
    loaded = source if isinstance(source, Loaded) else weights.load(source)
    pixels = loaded.preprocess
    if not isinstance(pixels, Preprocess):
        raise ValueError(
            f"jssl embed is for images; {loaded.family} takes others: call features on them in Python"
        )
    if size is not None:
        pixels = pixels.at(size)
    if isinstance(data, str):
        records: Records = open_records(data, data_dir=data_dir, split=split)
    else:
        records = in_memory(data) if isinstance(data, Source) else data
    compute = chooser(loaded, tokens=tokens, blocks=blocks)
    mesh = make_mesh()
    batch = -(-min(batch, len(records)) // mesh.size) * mesh.size
    asked: dict[str, Any] = {
        "source": source if isinstance(source, str) else loaded.family,
        "data": data if isinstance(data, str) else getattr(data, "name", type(data).__name__),
        "split": split,
        "tokens": tokens,
        "blocks": list(blocks),
        "size": pixels.crop,
        "batch": batch,
        "images": len(records),
        "marks": [mark_of_network(loaded), mark_of_data(records)],  # content may change under the same name
    }
    parts = _parts(out, asked)
    done = sum(1 for _ in parts.glob("*.npz")) * FLUSH * batch
    say(
        f"{asked['data']}: {len(records):,} images at {asked['size']} pixels"
        + (f", {done:,} done" if done else "")
    )
    variables = jax.device_put(loaded.variables, replicated(mesh))
    run = jax.jit(compute, out_shardings=replicated(mesh))
    with extra():
        from tqdm import tqdm

    with (
        ThreadPoolExecutor(decoders()) as pool,
        tqdm(total=len(records), initial=min(done, len(records)), unit="image", disable=not bar) as progress,
    ):
        number = done // (FLUSH * batch)
        for first in range(done, len(records), FLUSH * batch):
            starts = range(first, min(first + FLUSH * batch, len(records)), batch)
            columns: dict[str, list[np.ndarray]] = {name: [] for name in COLUMNS}
            for images, labels, names in _batches(records, starts, batch, pixels, pool, say):
                progress.update(len(images))
                if not (good := np.array([image is not None for image in images])).any():
                    continue
                seen = _stacked([image for image in images if image is not None], batch)
                inputs = replace(pixels, size=pixels.crop)(seen)
                found = run(variables, jax.device_put(inputs, over_batch(mesh)))
                columns["features"].append(np.asarray(found, np.float32)[: good.sum()])
                columns["labels"].append(np.asarray(labels, np.int32)[good])
                columns["names"].append(np.asarray(names)[good])
            _write_part(parts / f"{number:06d}.npz", columns)
            number += 1
    _join(
        parts, out, {"class_names": np.array(records.class_names, str), "about": np.array(json.dumps(asked))}
    )
    shutil.rmtree(parts)
    return out


def prepared(image: np.ndarray, pixels: Preprocess) -> np.ndarray:
    """Resizes one image and crops its center, by Pillow as publishers do.

    Args:
        image: uint8 [H, W, 3].
        pixels: The weights' preprocessing.
    Returns:
        uint8 [crop, crop, 3].
    """
    from PIL import Image

    image = pixels.seen(image)
    rows, columns = pixels.resized(*image.shape[:2])
    if (rows, columns) != image.shape[:2]:
        kind = getattr(Image.Resampling, pixels.interpolation.upper())
        image = np.asarray(Image.fromarray(image).resize((columns, rows), kind))
    top, left = (rows - pixels.crop) // 2, (columns - pixels.crop) // 2
    return image[top : top + pixels.crop, left : left + pixels.crop]


def _batches(
    records: Records, starts: range, batch: int, pixels: Preprocess, pool: ThreadPoolExecutor, say
) -> Iterator[tuple[list, list, list]]:
    """Yields images, labels and names in batches and reads the next one ahead; None is a damaged image."""

    def ask(start):
        numbers = range(start, min(start + batch, len(records)))
        return pool.map(lambda number: read_prepared(records, number, pixels), numbers)

    ahead = ask(starts[0])
    for following in [*starts[1:], None]:
        rows, ahead = list(ahead), iter(()) if following is None else ask(following)
        for _, _, name, reason in rows:
            if reason:
                say(f"left out {name}: {reason}")
        yield [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def read_prepared(
    records: Records, number: int, pixels: Preprocess
) -> tuple[np.ndarray | None, int, str, str]:
    """Reads one image and prepares it as `prepared` does.

    Args:
        records: Where it is.
        number: Which one.
        pixels: The weights' preprocessing.
    Returns:
        (uint8 [crop, crop, C] or None, label or -1, name, "" or why it cannot be read).
    """
    name = records.describe(number)
    try:
        record = fetch(records, number)
        image = record["image"]
        image = decode(image) if isinstance(image, bytes) else as_rgb(image)
        height, width = record.get(IMAGE_SIZE, image.shape[:2])
        seen = prepared(image[:height, :width], pixels)
        seen = grey(seen) if len(pixels.mean) == 1 else seen
        return seen, int(record.get("label", -1)), name, ""
    except DamagedImage as error:
        return None, -1, name, str(error)


def _stacked(images: list[np.ndarray], batch: int) -> np.ndarray:
    """[batch, H, W, C], the last image repeated where there are fewer."""
    return np.stack([*images, *images[-1:] * (batch - len(images))])


def _parts(out: Path, asked: dict[str, Any]) -> Path:
    """The folder of finished parts, emptied where they are of other arguments, network or data."""
    parts, question = out.with_name(out.name + ".partial"), json.dumps(asked)
    about = parts / "about.json"
    if parts.exists() and not about.exists() and any(parts.iterdir()):
        raise ValueError(f"{parts} is there and not what jssl embed leaves; move it elsewhere")
    if parts.exists() and not (about.exists() and about.read_text() == question):
        shutil.rmtree(parts)
    parts.mkdir(parents=True, exist_ok=True)
    about.write_text(question)
    return parts


def _write_part(path: Path, columns: dict[str, list[np.ndarray]]) -> None:
    arrays: dict[str, Any] = {name: np.concatenate(found) for name, found in columns.items() if found}
    temporary = path.with_suffix(".new")
    with open(temporary, "wb") as file:
        np.savez(file, **arrays)
    os.replace(temporary, path)


def _join(parts: Path, out: Path, more: dict[str, np.ndarray]) -> None:
    """Writes one npz of all parts, one part in memory at a time."""
    files = sorted(parts.glob("*.npz"))
    temporary = out.with_name(out.name + ".new")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name in COLUMNS:
            shapes, kinds = [], []
            for file in files:
                with np.load(file) as held:
                    if name in held:
                        shapes.append(held[name].shape)
                        kinds.append(held[name].dtype)
            if not shapes:
                raise ValueError(f"{out}: not one image could be read")
            kind = np.result_type(*kinds)
            whole = (sum(shape[0] for shape in shapes), *shapes[0][1:])
            header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": whole}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array_header_2_0(entry, header)
                for file in files:
                    with np.load(file) as held:
                        if name in held:
                            entry.write(np.ascontiguousarray(held[name], kind).tobytes())
        for name, array in more.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
    os.replace(temporary, out)


def main(arguments: list[str]) -> None:
    """The command `jssl embed`."""
    parser = argparse.ArgumentParser(
        prog="jssl embed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "source", help="weights: a published name, a file, a folder, or the directory of a run"
    )
    parser.add_argument("data", help=f"one of {', '.join(FORMS)}")
    parser.add_argument("--out", required=True, help="the .npz file to write")
    parser.add_argument("--data-dir", help="where TFDS has its data sets")
    parser.add_argument("--split", default="train", help="train or test")
    parser.add_argument("--tokens", default="cls", help=f"which features: {', '.join(TOKENS)}")
    parser.add_argument(
        "--blocks", type=int, nargs="+", default=(), help="outputs of these blocks, concatenated"
    )
    parser.add_argument("--size", type=int, help="side of the prepared images, in place of the publisher's")
    parser.add_argument("--batch", type=int, default=64, help="images at a time")
    chosen = vars(parser.parse_args(arguments))
    for name in ("size", "batch"):
        if chosen[name] is not None and chosen[name] < 1:
            raise ValueError(f"--{name} must be at least 1, got {chosen[name]}")
    path = embed(**chosen, say=print, bar=True)
    print(f"{path}: features {list(shape_in(path, 'features'))}, with names and labels")
