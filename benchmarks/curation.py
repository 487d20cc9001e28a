"""Does curation find copies? Planted ones among images, and what the search for them costs.

    python -m benchmarks.curation                                     # scenes; trains an encoder first
    python -m benchmarks.curation --data tfds:cifar10 --data-dir DIR  # photographs
    python -m benchmarks.curation --run runs/simclr                   # with a run that is there already
    python -m benchmarks.curation --rows 200000                       # the search alone, in random vectors

A copy is cropped to 70 to 95 % of the area, mirrored, or compressed as a JPEG of quality 30. The threshold is
the cosine that one image in a hundred has to another one that is no copy; `without_copies` then drops what
lies above it. Prints a Markdown table.
"""

import argparse
import io
import resource
import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import jssl
from jssl.arrays.keys import sample_keys
from jssl.data.augment.base import as_float
from jssl.data.augment.crop import random_resized_crop
from jssl.evaluate.curation import neighbours, without_copies
from jssl.run.settings.systems import module_of

ALARMS, WIDTH, NEAREST = 0.01, 384, 64


def cropped(images):
    """Crops each image [N, H, W, C] uint8 and resizes it to its size."""
    crop = jax.jit(random_resized_crop(size=images.shape[1], scale=(0.7, 0.95)))
    keys = sample_keys(jax.random.key(0), jnp.arange(len(images)))
    return np.asarray(jnp.round(255 * jnp.clip(crop(keys, as_float(images)), 0, 1)).astype(jnp.uint8))


def mirrored(images):
    """Mirrors images left to right."""
    return images[:, :, ::-1]


def compressed(images):
    """Compresses images as JPEG of quality 30, and decodes them."""

    def through(image):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=30)
        return np.asarray(Image.open(file))

    return np.stack([through(image) for image in images])


def found(features_of, pool, *, copies: int) -> tuple[dict[str, float], float]:
    """Plants copies in a pool and drops what its features say are copies.

    Args:
        features_of: images [N, H, W, C] -> [N, D].
        pool: [N, H, W, C] uint8, without copies.
        copies: How many of its images each kind is made of.
    Returns:
        (the share of each kind that is dropped, and of the pool's own images; the threshold).
    """
    made = {change.__name__: features_of(change(pool[:copies])) for change in (cropped, mirrored, compressed)}
    own = features_of(pool)
    threshold = float(np.quantile(neighbours(own, own, k=2)[0][:, 1], 1 - ALARMS))
    kept = without_copies(np.concatenate([own, *made.values()]), threshold=threshold)
    dropped = np.ones(len(own) + copies * len(made), bool)
    dropped[kept] = False
    shares = {name: dropped[len(own) + i * copies :][:copies].mean() for i, name in enumerate(made)}
    return shares | {"false alarms": dropped[: len(own)].mean()}, threshold


def measure_copies(directory: str, *, data: str, data_dir: str | None, count: int, copies: int, steps: int):
    """Opens a run, or trains one; prints the table of images that it was not trained on."""
    if not (Path(directory) / "report.html").exists():
        demo = replace(module_of("simclr").demo, data=data, data_dir=data_dir, views="crops", steps=steps)
        jssl.run(demo, out=directory)
    run = jssl.open_run(directory)
    pool = jssl.load(data, split="test", data_dir=data_dir).images[:count]
    shares, threshold = found(lambda images: np.asarray(run.features(images)), pool, copies=copies)
    print(f"{len(pool):,} images of {data}, {copies:,} copies of each kind; cosines above {threshold:.3f}")
    print(f"| dropped | {' | '.join(shares)} |\n|---|{'---|' * len(shares)}")
    print(f"| % | {' | '.join(f'{100 * share:.2f}' for share in shares.values())} |")


def measure_search(rows: int):
    """Prints time and memory of dropping copies among so many random vectors, a hundredth of them copies."""
    rng, planted = np.random.default_rng(0), rows // 100
    features = rng.standard_normal((rows, WIDTH), dtype=np.float32)
    features[-planted:] = features[:planted] + 0.1 * rng.standard_normal((planted, WIDTH), dtype=np.float32)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    kept = without_copies(features, k=NEAREST)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{jax.devices()[0].device_kind}: {rows:,} x {WIDTH}, {features.nbytes / 2**20:,.0f} MiB")
    print(
        f"{seconds:,.0f} s; {after / 1024:,.0f} MiB at the most, {(after - before) / 1024:,.0f} in the search"
    )
    lost = rows - planted - int((kept < rows - planted).sum())
    print(f"{rows - len(kept):,} dropped, {lost:,} of them not planted; {planted:,} planted")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="scenes:color")
    parser.add_argument("--data-dir", help="where TFDS has its data sets")
    parser.add_argument("--run", default="runs/curation", help="an encoder; trained there if there is none")
    parser.add_argument("--steps", type=int, default=400, help="of its training")
    parser.add_argument("--count", type=int, default=1000, help="images without copies")
    parser.add_argument("--copies", type=int, default=300, help="of each kind")
    parser.add_argument("--rows", type=int, help="measure the search alone, in so many vectors")
    chosen = vars(parser.parse_args())
    rows, directory = chosen.pop("rows"), chosen.pop("run")
    measure_search(rows) if rows else measure_copies(directory, **chosen)


if __name__ == "__main__":
    main()
