"""NT-Xent with its gradient: time and peak memory, dense and block-wise, beside PyTorch and lightly where
installed.

    python -m benchmarks.objectives                                 # batches of 1,024 to 65,536, 128 features
    python -m benchmarks.objectives --batches 4096 --block-size 1024
    python -m benchmarks.objectives --torch-python other/bin/python  # PyTorch in another environment

Each row is a process of its own, so that its peak resident memory is its own. Dense rows that would need more
memory than the machine has are left out. Ratios are to the dense form at the same batch, and to PyTorch.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

FEATURES, TEMPERATURE = 128, 0.1


def jax_step(batch, block_size):
    import jax
    import jax.numpy as jnp

    from jssl.objectives import nt_xent

    def loss(z_a, z_b):
        return jnp.mean(nt_xent(z_a, z_b, temperature=TEMPERATURE, block_size=block_size))

    step = jax.jit(jax.value_and_grad(loss, (0, 1)))
    views = [jax.random.normal(key, (batch, FEATURES)) for key in jax.random.split(jax.random.key(0))]
    return lambda: jax.block_until_ready(step(*views))


def torch_step(batch, criterion):
    import torch

    views = [torch.randn(batch, FEATURES, requires_grad=True) for _ in range(2)]

    def step():
        criterion(*views).backward()

    return step


def torch_nt_xent(z_a, z_b):
    """NT-Xent as PyTorch users write it."""
    import torch
    import torch.nn.functional as functional

    z = functional.normalize(torch.cat([z_a, z_b]))
    logits = (z @ z.T / TEMPERATURE).fill_diagonal_(float("-inf"))
    positives = torch.arange(len(z)).roll(len(z_a))
    return functional.cross_entropy(logits, positives)


def measure(kind, batch, block_size, repeats):
    """Seconds per step, the least of some, and the peak resident memory of this process in MiB."""
    if kind in ("dense", "blocks"):
        step = jax_step(batch, block_size if kind == "blocks" else None)
    elif kind == "torch":
        step = torch_step(batch, torch_nt_xent)
    else:
        from lightly.loss import NTXentLoss

        step = torch_step(batch, NTXentLoss(temperature=TEMPERATURE))
    step()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return min(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_apart(python, kind, batch, block_size, repeats):
    """The same in a process of its own; None where it is not installed or does not finish."""
    command = [python, __file__, "--measure", kind, str(batch), str(block_size), str(repeats)]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # this file is not the package it measures
    environment = os.environ | {"PYTHONPATH": root, "PYTHONSAFEPATH": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    return json.loads(result.stdout) if result.returncode == 0 else None


def rows(arguments):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for batch in arguments.batches:
        repeats = max(1, min(arguments.repeats, arguments.repeats * 4096**2 // batch**2))
        found = {}
        for kind in ("dense", "blocks", "torch", "lightly"):
            if (
                kind != "blocks" and 4 * 4 * (2 * batch) ** 2 > memory
            ):  # logits, their gradient, and some more
                continue
            python = arguments.torch_python if kind in ("torch", "lightly") else sys.executable
            found[kind] = measure_apart(python, kind, batch, arguments.block_size, repeats)
            if found[kind] is not None:
                yield batch, kind, *found[kind], *(_ratio(found, kind, rival) for rival in ("dense", "torch"))


def _ratio(found, kind, rival):
    return found[kind][0] / found[rival][0] if found.get(rival) else None


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1024, 4096, 16384, 32768, 65536])
    parser.add_argument("--block-size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5, help="at batch 4,096; fewer for larger ones")
    parser.add_argument(
        "--torch-python", default=sys.executable, help="the Python that has PyTorch and lightly"
    )
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        kind, *numbers = arguments.measure
        print(json.dumps(measure(kind, *map(int, numbers))))
        return
    print(f"{'batch':>7} {'form':>8} {'ms':>10} {'peak MiB':>9} {'x dense':>8} {'x torch':>8}")
    for batch, kind, seconds, peak, *ratios in rows(arguments):
        shown = [f"{ratio:8.2f}" if ratio else f"{'':8}" for ratio in ratios]
        print(f"{batch:7} {kind:>8} {1000 * seconds:10.1f} {peak:9.0f} {' '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
