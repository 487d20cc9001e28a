"""Ten steps of SimCLR, BYOL, DINO and MAE in jssl and in plain torch, from the same weights, batch and views.

    python -m benchmarks.parity                # all; or some: python -m benchmarks.parity dino mae

Losses and parameters are compared step by step. The run fails where they differ by more than 0.1 % after ten
steps in float32, or with --double by more than a millionth in float64, where rounding hides nothing.
torch is not among jssl's requirements: pip install torch.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import torch_systems
from jssl import init_state, methods, models, train_step
from jssl.optim import (
    adamw,
    clip_by_parameter_norm,
    cosine,
    lars,
    teacher_momentum,
    warmup_cosine,
    weights_and_tokens,
)

STEPS, BATCH, TOLERANCE = 10, 16, 1e-3
PATCH, HEADS = 4, 3
zeros = jax.nn.initializers.zeros


class System(NamedTuple):
    """A system in both libraries.

    Args:
        method, optimizer: jssl's.
        rival: (params, teacher) -> torch's, with a `step`.
        sides: sides of the views, by name.
        rate, decay, momentum: schedules whose values the rival gets.
        masked: whether the rival gets the masks of hidden patches.
    """

    method: methods.Method
    optimizer: optax.GradientTransformation
    rival: Callable[..., Any]
    sides: dict[str, tuple[int, ...]]
    rate: Callable
    decay: Callable = lambda step: 0.0
    momentum: Callable = lambda step: 0.0
    masked: bool = False


def simclr() -> System:
    """SimCLR's step with LARS, the rate inside the momentum."""
    rate = warmup_cosine(0.005, steps=100, warmup=5)
    head = models.simclr_head(32, hidden=64)
    encoder = models.encoder("resnet10x0.25_cifar", last_scale=zeros)
    return System(
        methods.simclr(encoder, head=head, temperature=0.1),
        lars(rate, weight_decay=1e-6, rate_inside_momentum=True),
        partial(torch_systems.SimClr, temperature=0.1, decay=1e-6),
        {"global": (24, 24)},
        rate,
    )


def byol() -> System:
    """BYOL's step with LARS."""
    rate, momentum = warmup_cosine(0.02, steps=100, warmup=5), teacher_momentum(0.9, 100)
    head, predictor = (models.byol_head(32, hidden=64) for _ in range(2))
    encoder = models.encoder("resnet10x0.25_cifar", last_scale=zeros)
    return System(
        methods.byol(encoder, head=head, predictor=predictor, momentum=momentum),
        lars(rate, weight_decay=1.5e-6),
        partial(torch_systems.Byol, decay=1.5e-6),
        {"global": (24, 24)},
        rate,
        momentum=momentum,
    )


def dino() -> System:
    """DINO's step with multi-crop, clipped gradients, rising decay; no stochastic depth, no frozen layer."""
    rate, decay = warmup_cosine(1e-3, steps=100, warmup=5), cosine(0.04, 0.4, 100)
    momentum = teacher_momentum(0.9, 100)
    encoder = models.encoder("vit_n4", positions=models.LearnedPositions(models.dino_bicubic))
    head = partial(models.dino_head, hidden=64, bottleneck=32)
    return System(
        methods.dino(encoder, prototypes=128, head=head, momentum=momentum, teacher_temperature=0.04),
        optax.chain(clip_by_parameter_norm(3.0), adamw(rate, weight_decay=decay, decays=weights_and_tokens)),
        partial(
            torch_systems.Dino,
            patch=PATCH,
            heads=HEADS,
            student_temperature=0.1,
            teacher_temperature=0.04,
            clip=3.0,
        ),
        {"global": (24, 24), "local": (16, 16)},
        rate,
        decay,
        momentum,
    )


def mae() -> System:
    """MAE's step; both are given the same masks."""
    rate = warmup_cosine(1e-3, steps=100, warmup=5)
    encoder = models.encoder("vit_n4", positions=models.sincos_positions, kernel_init=models.xavier)
    decoder = models.mae_decoder(PATCH, dim=64, depth=2, heads=4)
    return System(
        methods.mae(encoder, decoder=decoder),
        adamw(rate, b2=0.95, weight_decay=0.05, decays=weights_and_tokens),
        partial(torch_systems.Mae, patch=PATCH, heads=HEADS, decoder_heads=4),
        {"global": (24,)},
        rate,
        lambda step: 0.05,
        masked=True,
    )


SYSTEMS = {made.__name__: made for made in (simclr, byol, dino, mae)}


def batch_of(system: System, number: int) -> dict[str, np.ndarray]:
    """The views of a step: noise, the same for both."""
    rng = np.random.default_rng(number)
    images = {
        name: rng.standard_normal((len(sides), BATCH, sides[0], sides[0], 3), dtype=np.float32)
        for name, sides in system.sides.items()
    }
    return images | {"index": np.arange(BATCH, dtype=np.int32)}


def compare(system: System, say: Callable[[str], None]) -> tuple[float, float]:
    """Takes the steps in both libraries.

    Args:
        system: what is compared.
        say: called with a line for each step.
    Returns:
        The relative difference of the last losses, and the largest of any parameter's.
    """
    torch = torch_systems.torch

    def views(key, batch):
        return batch

    first = {name: jnp.asarray(x) for name, x in batch_of(system, 0).items()}
    state = init_state(system.method, system.optimizer, views, first, key=jax.random.key(0))
    begun, teacher, memory = map(_wide, (state.params, state.teacher, state.memory))
    state = state.replace(params=begun, teacher=teacher, memory=memory)
    state = state.replace(opt_state=system.optimizer.init(begun))
    params = jax.tree.map(lambda x: torch.tensor(np.asarray(x)).requires_grad_(), _plain(state.params))
    teacher = None if state.teacher is None else jax.tree.map(_tensor, _plain(state.teacher))
    rival, step = system.rival(params, teacher), jax.jit(train_step(system.method, system.optimizer, views))
    outputs = jax.jit(system.method.outputs)
    for number in range(STEPS):
        batch = _wide(batch_of(system, number))
        told = {name: float(getattr(system, name)(number)) for name in ("rate", "decay", "momentum")}
        if system.masked:
            key = jax.random.split(jax.random.fold_in(state.key, state.step))[1]
            seen = outputs(state.params, state.teacher, state.memory, batch, key)
            told["mask"] = _tensor(seen.mask[0])
        crops = {name: _tensor(batch[name]) for name in system.sides}
        theirs = float(rival.step(crops, **told).detach())
        state, metrics = step(state, batch)
        loss = abs(float(metrics["loss"]) - theirs) / abs(theirs)
        params_apart = max(
            _apart(
                *(
                    _that_matters(path, one)
                    for one in (np.asarray(_at(state.params, path)), x.detach().numpy())
                )
            )
            for path, x in torch_systems.leaves(params)
        )
        say(f"step {number}: loss {theirs:.6f}, apart by {loss:.1e}; parameters by {params_apart:.1e}")
    return loss, params_apart


def _wide(tree):
    """Numbers in float64 where JAX knows it, else as they are."""
    widest = jax.dtypes.canonicalize_dtype(np.float64)
    return jax.tree.map(lambda x: x.astype(widest) if x.dtype.kind == "f" else x, tree)


def _plain(tree):
    return {name: _plain(value) if hasattr(value, "items") else value for name, value in tree.items()}


def _tensor(x):
    return torch_systems.torch.tensor(np.asarray(x))


def _at(tree, path):
    for name in path:
        tree = tree[name]
    return tree


def _that_matters(path: tuple[str, ...], x: np.ndarray) -> np.ndarray:
    """Drops the bias of attention's keys: it changes no output, and Adam enlarges its rounding errors."""
    return np.delete(x.reshape(3, -1), 1, 0) if path[-2:] == ("qkv", "bias") else x


def _apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """|a - b| / |b|, where |b| is at least that of numbers of 0.001, for parameters that begin at 0."""
    size = max(np.linalg.norm(theirs), 1e-3 * theirs.size**0.5)
    return float(np.linalg.norm(ours - theirs) / size)


def main(arguments: list[str] | None = None) -> int:
    """Compares the systems named on the command line; returns how many are apart."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("systems", nargs="*", choices=[[], *SYSTEMS], help="by default all")
    parser.add_argument("--double", action="store_true", help="in float64, to a millionth")
    chosen = parser.parse_args(arguments)
    names = chosen.systems or list(SYSTEMS)
    if torch_systems.torch is None:
        print("benchmarks.parity needs torch, which is not installed: pip install torch", file=sys.stderr)
        return 1
    jax.config.update("jax_default_matmul_precision", "highest")
    jax.config.update("jax_enable_x64", chosen.double)
    tolerance = 1e-6 if chosen.double else TOLERANCE
    failed = 0
    for name in names:
        print(name)
        apart = max(compare(SYSTEMS[name](), print))
        failed += apart > tolerance
        print(
            f"{name}: apart by {apart:.1e} after {STEPS} steps, {'too much' if apart > tolerance else 'fine'}"
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
