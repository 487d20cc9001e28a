"""The gradient of a ViT-tiny on a CPU, beside eager PyTorch from the same weights.

    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python -m benchmarks.gradients

Both see the same images: two views of 64 of 32 pixels by patches of 4, as SimCLR on small images, and the two
larger and four smaller crops of 16 images by patches of 16, as DINO. Each library has a process of its own,
in turn, since threads and memory of one slow the other down; the first step, in which XLA compiles, is not
counted. torch is not among jssl's requirements: pip install torch.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import torch_systems
from jssl import models

DIM, DEPTH, HEADS = 192, 12, 3
CASES = {  # a patch's side, and (images, their side)
    "simclr, 2 x 64 of 32 px": (4, [(128, 32)]),
    "dino, 16 x (2 of 96 + 4 of 48 px)": (16, [(32, 96), (64, 48)]),
}
KINDS = ("jssl", "torch")
STEPS, TURNS, APART = 5, 2, 1e-3


def gradient(kind: str, patch: int, crops: list[tuple[int, int]]) -> Callable[[], float]:
    """Makes the function that computes a loss and the gradient of all parameters.

    Args:
        kind: One of `KINDS`.
        patch: side of a patch in pixels.
        crops: (images, their side) of each size.
    Returns:
        () -> the loss as a number, after its gradient has been computed.
    """
    torch: Any = torch_systems.torch
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((count, side, side, 3), dtype=np.float32) for count, side in crops]
    wanted = rng.standard_normal(DIM, dtype=np.float32)  # a direction, of which the loss is made
    positions = models.LearnedPositions(models.dino_bicubic)
    vit = models.ViT(patch=patch, dim=DIM, depth=DEPTH, heads=HEADS, positions=positions)
    params = jax.jit(vit.init)(jax.random.key(0), images[0])["params"]
    if kind == "jssl":
        held = jax.device_put(images)

        @jax.jit
        def ours(params, images):
            def loss(params):
                return sum(jnp.mean(vit.apply({"params": params}, x).cls @ wanted) for x in images)

            return jax.value_and_grad(loss)(params)

        return lambda: float(jax.block_until_ready(ours(params, held))[0])
    copies = jax.tree.map(lambda x: torch.tensor(np.asarray(x)).requires_grad_(), params)
    temperatures = dict(student_temperature=1, teacher_temperature=1)
    rival = torch_systems.Dino(copies, None, patch=patch, heads=HEADS, clip=1, **temperatures)
    shown, direction = [torch.tensor(x) for x in images], torch.tensor(wanted)

    def theirs():
        loss = sum((rival.encode(copies, x) @ direction).mean() for x in shown)
        torch_systems.backward(copies, loss)
        return float(loss.detach())

    return theirs


def timed(kind: str, case: str) -> dict[str, Any]:
    """The loss, and the seconds of each step after the first."""
    step = gradient(kind, *CASES[case])
    loss, seconds = step(), []
    for _ in range(STEPS):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {"loss": loss, "seconds": seconds}


def main(arguments: list[str] | None = None) -> int:
    """Prints a line for each case; returns how many losses are apart."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gradients",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if torch_systems.torch is None:
        print("benchmarks.gradients needs torch, which is not installed: pip install torch", file=sys.stderr)
        return 1
    if chosen.one:
        print(json.dumps(timed(*chosen.one)))
        return 0
    apart = 0
    for case in CASES:
        losses, seconds = {}, {kind: [] for kind in KINDS}
        for kind in KINDS * TURNS:
            command = [sys.executable, "-m", "benchmarks.gradients", "--one", kind, case]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            losses[kind] = found["loss"]
            seconds[kind] += found["seconds"]
        ours, theirs = (statistics.median(seconds[kind]) for kind in KINDS)
        wrong = abs(losses["jssl"] - losses["torch"]) > APART * abs(losses["torch"])
        apart += wrong
        took = f"jssl {1000 * ours:.0f} ms, torch {1000 * theirs:.0f} ms"
        told = f"; losses are apart: {losses}" if wrong else ""
        print(f"{case}: {took}; {theirs / ours:.2f} of torch's speed{told}", flush=True)
    return apart


if __name__ == "__main__":
    sys.exit(main())
