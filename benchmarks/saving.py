"""The cost of saving: the time of an interval of steps with one asynchronous checkpoint in it, against one
without.

    python -m benchmarks.saving

The default interval is a tenth of the run: here of one of 1000 steps. The ratio should stay below 1.05.
"""

import argparse
import statistics
import tempfile
import time

import jax
import numpy as np

from jssl import encoder, init_state, make_step, methods, models, views
from jssl.checkpoint import Checkpoints
from jssl.optim import lars


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="resnet10x0.25_cifar")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--interval", type=int, default=100, help="steps between two checkpoints")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    method = methods.simclr(
        encoder(arguments.encoder), head=models.simclr_head(64, hidden=256), temperature=0.2
    )
    make_views, optimizer = views.simclr(size=arguments.size), lars(0.5)
    shape = (arguments.batch, arguments.size, arguments.size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    batch = jax.device_put({"image": images, "index": np.arange(arguments.batch, dtype=np.int32)})
    state = init_state(method, optimizer, make_views, batch, key=jax.random.key(0))
    step = make_step(method, optimizer, make_views)
    state, metrics = step(state, batch)
    size = sum(x.nbytes for x in jax.tree.leaves(state.replace(key=None)))

    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(folder)
        checkpoints.save(0, state)  # compiles the fingerprint
        checkpoints.wait()
        times, stalls = {"without": [], "with": []}, []
        for number in range(1, arguments.rounds + 1):
            for kind in times:
                started = time.perf_counter()
                if kind == "with":
                    checkpoints.save(number, state)
                    stalls.append(time.perf_counter() - started)
                for _ in range(arguments.interval):
                    state, metrics = step(state, batch)
                    metrics["loss"].block_until_ready()
                times[kind].append(time.perf_counter() - started)
        checkpoints.close()

    print(
        f"{jax.devices()[0].device_kind}, {arguments.encoder}, batch {arguments.batch}, a state of "
        f"{size / 2**20:.1f} MiB"
    )
    for kind, values in times.items():
        print(
            f"{arguments.interval} steps {kind:8s} a checkpoint: {statistics.median(values):7.2f} s, median "
            f"of {len(values)}"
        )
    print(f"the call that saves: {1e3 * statistics.median(stalls):.0f} ms")
    ratio = statistics.median(b / a for a, b in zip(times["without"], times["with"], strict=True))
    print(f"ratio, with / without, median of pairs: {ratio:.3f}")


if __name__ == "__main__":
    main()
