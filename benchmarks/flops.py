"""Counts the operations of a step, beside those that its method needs. Programs are traced, not compiled.

    python -m benchmarks.flops             # every system, as published
    python -m benchmarks.flops dino mae    # some of them

Prints a Markdown table. "TFLOP" is of the matrix products and convolutions of a step for one image. "once" is
the step over its views, its forward pass, and one product more for each operand that a gradient passes: 1
where nothing is computed twice. "needed" is the step over what the paper's method needs, counted from its
modules: encoders on the views, heads on the vectors and on the average number of hidden patches, and the
views themselves. It is given for the systems of `NEEDS`. "once" does not know where a gradient was stopped:
it is less than 1 where a method also applies what it trains without a gradient.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal
from jssl.experiments import REGISTRY

from jssl.arrays.jaxprs import bodies, matrix_flops, own_flops, used
from jssl.models import dino_head, mae_decoder, swav_head
from jssl.run import DataInfo, Experiment, Settings
from jssl.run.settings.systems import named
from jssl.run.weights.from_weights import beside
from jssl.train import init_state, train_step

IMAGENET = DataInfo("imagenet", 1_281_167, (224, 224, 3), 224, 1000, {"caption": ((32,), "int32")})
Views = dict[str, jax.ShapeDtypeStruct]


def with_gradient(jaxpr: Jaxpr, moving: Sequence[bool]) -> tuple[int, list[bool]]:
    """Counts the operations of a program's products and of their gradients, each computed once.

    A product's gradient takes as many operations again for each operand that a gradient passes.

    Args:
        jaxpr: of the forward pass.
        moving: for each of its arguments, whether a gradient with respect to it is wanted.
    Returns:
        Operations, and for each result whether a gradient passes it.
    Examples:
        >>> program = jax.make_jaxpr(lambda w, x: jnp.tanh(x @ w) @ w)(jnp.ones((2, 2)), jnp.ones((3, 2)))
        >>> with_gradient(program.jaxpr, [True, False])  # 2 + 3 products of 3 x 2 x 2
        (120, [True])
    """
    live = {variable for variable, moves in zip(jaxpr.invars, moving, strict=True) if moves}
    total = 0
    for equation in used(jaxpr):
        name, inner = equation.primitive.name, list(bodies(equation.params))
        through = [not isinstance(atom, Literal) and atom in live for atom in equation.invars]
        if name == "scan":
            cost, passed = _scan(equation, inner[0], through)
        elif name == "while" or not inner:  # no gradient passes a loop without a known end
            cost = sum(map(matrix_flops, inner)) + own_flops(equation) * (1 + sum(through[:2]))
            passed = [any(through) and name not in ("while", "stop_gradient")] * len(equation.outvars)
        else:  # a call, or the branches of a cond, which come after the number of one
            found = [with_gradient(body, through[-len(body.invars) :]) for body in inner]
            costs, results = zip(*found, strict=True)
            cost, passed = max(costs), [any(each) for each in zip(*results, strict=True)]
        total += cost
        for variable, moves in zip(equation.outvars, passed, strict=True):
            if moves and jnp.issubdtype(variable.aval.dtype, jnp.inexact):
                live.add(variable)
    return total, [not isinstance(atom, Literal) and atom in live for atom in jaxpr.outvars]


def _scan(equation, body: Jaxpr, through: list[bool]) -> tuple[int, list[bool]]:
    """Counts a loop; a gradient passes a carried value if it does so at the start or after an iteration."""
    fixed, carried = equation.params["num_consts"], equation.params["num_carry"]
    while True:
        cost, passed = with_gradient(body, through)
        grown = [a or b for a, b in zip(through[fixed : fixed + carried], passed[:carried], strict=True)]
        if grown == through[fixed : fixed + carried]:
            return cost * equation.params["length"], passed
        through = [*through[:fixed], *grown, *through[fixed + carried :]]


def shown(module, *inputs, **named) -> int:
    """Counts the operations of a module on some inputs, without a gradient."""
    return _traced(module, inputs, named, moving=False)


def taught(module, *inputs, **named) -> int:
    """Counts the operations of a module on some inputs and of its parameters' gradient."""
    return _traced(module, inputs, named, moving=True)


def _traced(module, inputs, named, *, moving: bool) -> int:
    variables = jax.eval_shape(lambda key: module.init(key, *inputs, **named), jax.random.key(0))
    closed = jax.make_jaxpr(lambda variables: module.apply(variables, *inputs, **named))(variables)
    return with_gradient(closed.jaxpr, [moving] * len(closed.jaxpr.invars))[0]


def inner_gradient(head, row) -> int:
    """Counts the operations of a head's gradient with respect to its input: its first product again."""
    both = jax.make_jaxpr(head.apply)(jax.eval_shape(head.init, jax.random.key(0), row), row).jaxpr
    moving = [True] * len(both.invars)
    return with_gradient(both, moving)[0] - with_gradient(both, [*moving[:-1], False])[0]


def trained_head(head, dim: int) -> int:
    """Counts the operations of a head on one vector of the encoder, its gradient passed on to the encoder."""
    row = jnp.zeros((1, dim))
    return taught(head, row) + inner_gradient(head, row)


def _one(views: Views, name: str) -> np.ndarray:
    return np.zeros((1, *views[name].shape[2:]), np.float32)


def _features(encoder, images, **named):
    """Zeros of the shapes of an encoder's features."""
    shapes = jax.eval_shape(lambda key: encoder.init_with_output(key, images, **named)[0], jax.random.key(0))
    return jax.tree.map(lambda x: jnp.zeros(x.shape), shapes)


def self_distilled(settings: Any, experiment: Experiment, views: Views, *, head, hidden=0.0, patch_head=None):
    """DINO's needs for one image, and those of heads on so many hidden patches in all of its views."""
    encoder, whole, each = experiment.encoder, views["global"].shape[0], _one(views, "global")
    row = jnp.zeros((1, encoder.dim))
    total = whole * (shown(encoder, each) + taught(encoder, each) + shown(head, row))
    total += whole * trained_head(head, encoder.dim)
    if "local" in views:
        count = views["local"].shape[0]
        total += count * (taught(encoder, _one(views, "local")) + trained_head(head, encoder.dim))
    if hidden:
        patch_head = patch_head or head
        total += round(hidden * (shown(patch_head, row) + trained_head(patch_head, encoder.dim)))
    return total


def dino(settings, experiment, views):
    """Every view by the student, the global ones by the teacher."""
    return self_distilled(settings, experiment, views, head=settings.head()(settings.prototypes))


def ibot(settings, experiment, views):
    """DINO's, and both heads on the patches that are hidden, a share of the views' patches."""
    patches = np.prod(experiment.encoder.grid(views["global"].shape))
    hidden = views["global"].shape[0] * settings.masked * np.mean(settings.mask_ratio) * patches
    head = settings.head()(settings.prototypes)
    return self_distilled(settings, experiment, views, head=head, hidden=hidden)


def dinov2(settings, experiment, views):
    """The same with a head of its own on patches, and half of the views hiding any."""
    s, patches = settings, np.prod(experiment.encoder.grid(views["global"].shape))
    hidden = views["global"].shape[0] * 0.5 * np.mean(s.mask_ratio) * patches
    head = dino_head(s.prototypes, hidden=s.hidden, bottleneck=s.bottleneck)
    patch_head = dino_head(s.patch_prototypes, hidden=s.patch_hidden, bottleneck=s.patch_bottleneck)
    return self_distilled(s, experiment, views, head=head, hidden=hidden, patch_head=patch_head)


def swav(settings, experiment, views):
    """Every view by one network."""
    head, total = swav_head(settings.dim, hidden=settings.hidden), 0
    for name in views.keys() & {"global", "local"}:
        width = _features(experiment.encoder, _one(views, name)).cls.shape[-1]
        each = taught(experiment.encoder, _one(views, name)) + trained_head(head, width)
        total += views[name].shape[0] * (each + 3 * 2 * settings.dim * settings.prototypes)
    return total


def mae(settings, experiment, views):
    """The encoder on the visible patches, the decoder on all."""
    encoder, each = experiment.encoder, _one(views, "global")
    grid = encoder.grid(each.shape)
    visible = np.arange(int(np.prod(grid) * (1 - settings.ratio)))[None]
    features = _features(encoder, each, visible=visible)
    sizes = dict(dim=settings.decoder_dim, depth=settings.decoder_depth, heads=settings.decoder_heads)
    decoder = mae_decoder(encoder.patch, **sizes)
    passed_on = 2 * encoder.dim * settings.decoder_dim * (visible.size + 1)
    return taught(encoder, each, visible=visible) + taught(decoder, features, visible, grid) + passed_on


NEEDS: dict[str, Callable[..., int]] = {
    "dino": dino,
    "ibot": ibot,
    "dinov2": dinov2,
    "mae": mae,
    "swav": swav,
}


def counted(name: str, settings: Settings, info: DataInfo = IMAGENET) -> dict[str, float]:
    """Counts the operations of a system's step.

    Args:
        name: of the system.
        settings: of the system.
        info: sizes of its data.
    Returns:
        {"flops": of a step for one image, "views": of that for views, "once", and "needed" where `NEEDS` has
        the system}.
    """
    experiment = settings.build(info)
    method, optimizer, size = experiment.method, experiment.optimizer, experiment.batch
    key, number = jax.eval_shape(lambda: jax.random.key(0)), jax.ShapeDtypeStruct((), jnp.int32)
    made, views = jax.make_jaxpr(experiment.views, return_shape=True)(key, info.batch(size))
    start = beside(None, experiment.given)

    def init(views, start):
        return init_state(method, optimizer, _as_given, views, key=jax.random.key(0), start=start)

    state = jax.eval_shape(init, views, start and start.tree)
    step = train_step(method, optimizer, _as_given, dtype=jnp.bfloat16)
    making = matrix_flops(made.jaxpr)
    whole = making + matrix_flops(jax.make_jaxpr(step)(state, views).jaxpr)
    seen = state.params, state.teacher, state.memory, views, key, number
    forward = jax.make_jaxpr(method.loss)(*seen).jaxpr
    moving = len(jax.tree.leaves(state.params))
    once, _ = with_gradient(forward, [i < moving for i in range(len(forward.invars))])
    figures = {"flops": whole / size, "views": making / size, "once": whole / (making + once)}
    if name in NEEDS:
        figures["needed"] = whole / (making + size * NEEDS[name](settings, experiment, views))
    return figures


def _as_given(key, views: Views) -> Views:
    """Returns views that have been made already."""
    return views


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help="by default all")
    options = parser.parse_args(arguments)
    print("| system | TFLOP | of them views | once | needed |\n|---|---|---|---|---|")
    for name in options.systems or REGISTRY:
        found = counted(name, named(name)())
        needed = f"{found['needed']:.3f}" if "needed" in found else ""
        share = found["views"] / found["flops"]
        ratios = f"{found['once']:.3f} | {needed}"
        print(f"| {name} | {found['flops'] / 1e12:.4f} | {share:.1%} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
