"""ResNet-18 on CIFAR-10 by the protocol that libraries compare themselves with: batch 512, 200 epochs, kNN
(k = 200, T = 0.1).

    python -m benchmarks.cifar --pack DIR --data cifar10.npz  # once, where TFDS has CIFAR-10
    python -m benchmarks.cifar --data cifar10.npz --methods simclr --epochs 200 --every 20
    python -m benchmarks.cifar --data cifar10.npz --methods simclr,byol,moco_v2 --epochs 20 --minutes 8

Prints a JSON line for every evaluation. Training needs no more than `pip install jssl` (and Pillow for packed
files). docs/gpu.md says what a file holds and what other libraries reach.
"""

import argparse
import io
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jssl
from jssl import data, evaluate, methods, models, optim
from jssl.data import views

SPLITS = ("train", "test")
DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


def pack(directory: str, path: str, *, limit: int | None = None) -> None:
    """Writes CIFAR-10 of tensorflow-datasets to one file, its images as the files they are.

    Args:
        directory: where tensorflow-datasets has its data.
        path: to be written: {train,test}_{jpeg: bytes one after another, ends, labels}.
        limit: only so many images of each split.
    """
    import tensorflow_datasets as tfds

    arrays = {}
    for split in SPLITS:
        decoders = {"image": tfds.decode.SkipDecoding()}
        source = tfds.data_source("cifar10", split=split, data_dir=directory, decoders=decoders)
        items = [source[number] for number in range(min(limit or len(source), len(source)))]
        files = [bytes(item["image"]) for item in items]
        arrays[f"{split}_jpeg"] = np.frombuffer(b"".join(files), np.uint8)
        arrays[f"{split}_ends"] = np.cumsum([len(file) for file in files])
        arrays[f"{split}_labels"] = np.asarray([int(item["label"]) for item in items], np.uint8)
    np.savez_compressed(path, **arrays)  # the files' headers are alike: compression takes them out


def unpack(path: str, *, limit: int | None = None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Reads what `pack` wrote, or a file with the arrays {train,test}_{images,labels}.

    Args:
        path: the npz file.
        limit: only so many images of each split.
    Returns:
        {split: (images uint8 [N, 32, 32, 3], labels int32 [N])}.
    """
    arrays, found = np.load(path), {}
    for split in SPLITS:
        labels = arrays[f"{split}_labels"].astype(np.int32)[:limit]
        if f"{split}_images" in arrays:
            images = arrays[f"{split}_images"][:limit]
        else:
            images = decoded(arrays[f"{split}_jpeg"].tobytes(), arrays[f"{split}_ends"][:limit])
        found[split] = images, labels
    return found


def decoded(files: bytes, ends: np.ndarray) -> np.ndarray:
    """Decodes image files that stand one after another, of one size, each to its end."""
    from PIL import Image

    def decode(start, end):
        return np.asarray(Image.open(io.BytesIO(files[start:end])).convert("RGB"))

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        return np.stack(list(pool.map(decode, [0, *ends[:-1]], ends)))


class Parts(NamedTuple):
    """What a method trains with."""

    method: jssl.Method
    views: views.Views
    rate: float = 0.24
    weight_decay: float = 5e-4

    def optimizer(self, steps: int):
        rate = optim.warmup_cosine(self.rate, steps=steps, warmup=steps // 20)
        return optim.sgd(rate, weight_decay=self.weight_decay)


def simclr(encoder, steps):
    head = models.simclr_head(128, hidden=512)
    return Parts(methods.simclr(encoder, head=head, temperature=0.5), views.simclr(size=32))


def byol(encoder, steps):
    head, predictor = (models.byol_head(256, hidden=1024) for _ in range(2))
    momentum = optim.teacher_momentum(0.996, steps)
    method = methods.byol(encoder, head=head, predictor=predictor, momentum=momentum)
    return Parts(method, views.byol(size=32))


def moco_v2(encoder, steps):
    head = models.moco_head(128, hidden=512)
    method = methods.moco_v2(encoder, head=head, queue=4096, temperature=0.1, momentum=0.99)
    return Parts(method, views.moco_v2(size=32))


def simsiam(encoder, steps):
    head, predictor = models.simsiam_head(2048, hidden=2048), models.simsiam_predictor(2048, hidden=512)
    return Parts(methods.simsiam(encoder, head=head, predictor=predictor), views.moco_v2(size=32))


def barlow_twins(encoder, steps):
    head = models.barlow_head(2048, hidden=2048)
    return Parts(methods.barlow_twins(encoder, head=head), views.byol(size=32), rate=0.06)


def vicreg(encoder, steps):
    head = models.vicreg_head(2048, hidden=2048)
    return Parts(methods.vicreg(encoder, head=head), views.byol(size=32), rate=0.06)


def swav(encoder, steps):
    method = methods.swav(encoder, prototypes=512, head=models.swav_head(128, hidden=2048))
    return Parts(method, views.swav(size=32, locals=6), weight_decay=1e-6)


def dino(encoder, steps):
    head = partial(models.dino_head, hidden=2048, norm=models.batch_norm)
    momentum = optim.teacher_momentum(0.995, steps)
    method = methods.dino(encoder, prototypes=2048, head=head, momentum=momentum)
    return Parts(method, views.dino(size=32, locals=6))


METHODS = {  # the papers' parts at the sizes that are usual for CIFAR
    make.__name__: make for make in (simclr, byol, moco_v2, simsiam, barlow_twins, vicreg, swav, dino)
}


def accuracy(network, splits, *, k: int, temperature: float) -> float:
    """kNN top-1 of the test images among all training images, by features [N, D] that a network gives."""
    (images, labels), (test_images, test_labels) = (splits[split] for split in SPLITS)
    view = jax.tree_util.Partial(data.evaluation_view(32))
    bank, queries = (
        evaluate.extract_features(network, x, view=view, batch=1000) for x in (images, test_images)
    )
    votes = dict(classes=10, k=min(k, len(images)), temperature=temperature)
    return float(evaluate.knn_accuracy(bank, labels, queries, test_labels, **votes))


def train(name: str, splits, options, *, ends: float) -> None:
    """Trains one method, saying a line per evaluation.

    Args:
        name: one of `METHODS`.
        splits: as `unpack` returns them.
        options: the command line's.
        ends: the time, by `time.monotonic`, after which no further epoch begins.
    """
    images, _ = splits["train"]
    n, batch = len(images), options.batch
    per_epoch = n // batch
    steps = options.epochs * per_epoch
    parts = METHODS[name](jssl.encoder(options.encoder), steps)
    method, views, optimizer = parts.method, parts.views, parts.optimizer(steps)
    resident = {"image": jax.device_put(images)}
    step = jssl.train_step(method, optimizer, views, dtype=DTYPES[options.dtype])

    def batch_at(number, resident):
        return data.take(resident, data.batch_indices(options.seed, number, n=n, batch=batch))

    def cls(params, teacher, memory, images):
        return method.features(params, teacher, memory, images).cls

    gather = jax.jit(batch_at)
    if jax.default_backend() == "cpu" or options.one_by_one:
        advance = jssl.feed(jax.jit(step, donate_argnums=0), lambda number: gather(number, resident))
    else:
        advance = jssl.scanned(step, batch_at, resident)
    key = jax.random.key(options.seed)
    state = jssl.init_state(method, optimizer, views, gather(0, resident), key=key)
    about = dict(encoder=options.encoder, images=n, batch=batch, steps=steps, dtype=options.dtype)
    say(method=name, **about, device=jax.devices()[0].device_kind)
    trained, epoch = 0.0, 0
    while epoch < options.epochs:
        some = min(options.every, options.epochs - epoch)
        start = time.perf_counter()
        state, metrics = advance(state, epoch * per_epoch, some * per_epoch)
        loss = float(metrics["loss"])
        seconds = time.perf_counter() - start  # the first has the compilation in it
        trained, epoch = trained + seconds, epoch + some
        start = time.perf_counter()
        network = jax.tree_util.Partial(cls, state.params, state.teacher, state.memory)
        knn = accuracy(network, splits, k=options.k, temperature=options.temperature)
        say(
            method=name,
            epoch=epoch,
            knn_top1=round(100 * knn, 2),
            loss=round(loss, 4),
            images_per_s=round(some * per_epoch * batch / seconds, 1),
            minutes=round(trained / 60, 3),
            evaluation_s=round(time.perf_counter() - start, 1),
        )
        if not np.isfinite(loss):
            return say(method=name, stopped="the loss is not finite")
        if time.monotonic() > ends and epoch < options.epochs:
            return say(method=name, stopped=f"no time left after {epoch} of {options.epochs} epochs")


def say(**figures):
    print(json.dumps(figures), flush=True)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="the npz file")
    parser.add_argument(
        "--pack", metavar="DIR", help="write --data from tensorflow-datasets' DIR; nothing else"
    )
    parser.add_argument("--limit", type=int, help="only so many images of each split")
    parser.add_argument("--methods", default="simclr", help=f"by commas, of {', '.join(METHODS)}")
    parser.add_argument("--encoder", default="resnet18_cifar")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument(
        "--every", type=int, default=20, help="epochs between two evaluations, one compiled call"
    )
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--k", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.1, help="of the neighbours' votes")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--one-by-one", action="store_true", help="start steps one by one, not an epoch at a time"
    )
    parser.add_argument(
        "--minutes", type=float, default=1e9, help="stop after the evaluation that passes this"
    )
    options = parser.parse_args(arguments)
    options.methods = options.methods.split(",")
    if unknown := set(options.methods) - set(METHODS):
        parser.error(f"--methods: unknown {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    if options.pack:
        pack(options.pack, options.data, limit=options.limit)
        return print(f"{options.data}: {os.path.getsize(options.data) / 2**20:.1f} MiB")
    ends = time.monotonic() + 60 * options.minutes
    splits = unpack(options.data, limit=options.limit)
    for name in options.methods:
        if time.monotonic() > ends:
            say(method=name, skipped="no time left")
            continue
        try:
            train(name, splits, options, ends=ends)
        except Exception as error:  # the next method is tried all the same
            say(method=name, error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


if __name__ == "__main__":
    main()
