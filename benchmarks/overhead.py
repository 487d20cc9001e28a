"""The cost of the abstractions: `make_step` against a step written by hand that does the same work.

    python -m benchmarks.overhead

Both train SimCLR with the same network, views, loss and optimizer, in turn; the ratio is of medians and
should be 1.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jssl import encoder, init_state, make_step, methods, models, views
from jssl.optim import lars


def by_hand(network, head, make_views, optimizer):
    """SimCLR's step as one would write it without a library of frames and objectives."""

    def loss_fn(params, statistics, images):
        size = images.shape[1]
        flat = images.reshape(-1, *images.shape[2:])
        features, encoder_statistics = network.apply(
            {"params": params["encoder"], **statistics["encoder"]}, flat, train=True, mutable=["batch_stats"]
        )
        z, head_statistics = head.apply(
            {"params": params["cls"], **statistics["cls"]}, features.cls, train=True, mutable=["batch_stats"]
        )
        z = z / jnp.linalg.norm(z, axis=-1, keepdims=True)
        logits = z @ z.T / 0.2 - 1e9 * jnp.eye(2 * size)
        labels = jnp.roll(jnp.arange(2 * size), size)
        # the sum of both directions
        loss = 2 * optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, {"encoder": encoder_statistics, "cls": head_statistics}

    def step(params, statistics, opt_state, key, number, batch):
        views_key, _ = jax.random.split(jax.random.fold_in(key, number))
        images = make_views(views_key, batch)["global"]
        (loss, statistics), grads = jax.value_and_grad(loss_fn, has_aux=True)(params, statistics, images)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        norm = optax.tree.norm(grads)
        return optax.apply_updates(params, updates), statistics, opt_state, number + 1, loss, norm

    return jax.jit(step, donate_argnums=(0, 1, 2, 4))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="resnet18x0.25_cifar")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()

    network, head = encoder(arguments.encoder), models.simclr_head(64, hidden=256)
    method = methods.simclr(network, head=head, temperature=0.2)
    make_views, optimizer, key = views.simclr(size=arguments.size), lars(0.5), jax.random.key(0)
    shape = (arguments.batch, arguments.size, arguments.size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    batch = jax.device_put({"image": images, "index": np.arange(arguments.batch, dtype=np.int32)})

    state = init_state(method, optimizer, make_views, batch, key=key)
    statistics = jax.tree.map(jnp.copy, state.memory["statistics"])
    hand = [*jax.tree.map(jnp.copy, (state.params, statistics, state.opt_state)), key, jnp.int32(0)]
    ours, theirs = make_step(method, optimizer, make_views), by_hand(network, head, make_views, optimizer)

    times, losses = {"make_step": [], "by hand": []}, {}
    for _ in range(arguments.rounds + 2):
        start = time.perf_counter()
        state, metrics = ours(state, batch)
        losses["make_step"] = float(metrics["loss"])
        times["make_step"].append(time.perf_counter() - start)

        start = time.perf_counter()
        *hand[:3], hand[4], loss, _ = theirs(*hand, batch)
        losses["by hand"] = float(loss)
        times["by hand"].append(time.perf_counter() - start)

    medians = {name: statistics_of(values[2:]) for name, values in times.items()}  # the first two compile
    print(
        f"{jax.devices()[0].device_kind}, {arguments.encoder}, batch {arguments.batch}, {arguments.rounds} "
        "rounds"
    )
    for name, (median, low, high) in medians.items():
        print(
            f"{name:10s} {1e3 * median:8.1f} ms  ({1e3 * low:.1f} to {1e3 * high:.1f})  last loss "
            f"{losses[name]:.5f}"
        )
    print(f"ratio of medians, make_step / by hand: {medians['make_step'][0] / medians['by hand'][0]:.3f}")


def statistics_of(values):
    return statistics.median(values), min(values), max(values)


if __name__ == "__main__":
    main()
