"""Distillation: a network learns from a frozen one."""

import jax

from jssl.methods.base import Method
from jssl.methods.frames.assemble import assemble
from jssl.methods.frames.forward import first_view, together
from jssl.models.network import as_outputs, network
from jssl.objectives.base import Objective, Outputs


def distillation(model, taught, objective: Objective, *, across=together) -> Method:
    """Compares the outputs of a network with those of a frozen one: loss = objective(network(views),
    taught(views)).

    Args:
        model: anything `network` takes; its outputs reach the objective as `outputs.student`.
        taught: a `frozen` network of any width; its outputs reach the objective as `outputs.target`, both
            [V, B, ...] by name.
        objective: reads both.
        across: as in `siamese`, for the student.
    Returns:
        A `Method` without a `Teacher`: the frozen network is kept in the memory, under statistics, taught.
    Raises:
        ValueError: when initialised, for a network `taught` that is not frozen.
    """
    student, teacher = network(model), network(taught)

    def init(key, views):
        params, statistics = student.init(jax.random.fold_in(key, 0), first_view(views))
        learned, held = teacher.init(jax.random.fold_in(key, 1), first_view(views))
        if jax.tree.leaves(learned):
            raise ValueError("distillation: the taught network would be trained too; give frozen(network)")
        return params, {"student": statistics, "taught": held}

    def forward(params, _, statistics, views, keys):
        outputs, own = across(student, params, statistics["student"], views, key=keys.network)
        target = jax.vmap(lambda x: as_outputs(teacher.apply({}, statistics["taught"], x)[0]))(
            views["global"]
        )
        return Outputs(outputs, target, views=views), statistics | {"student": own}

    def evaluated(params, _, statistics):
        return params, statistics["student"]

    return assemble(objective, net=student, init=init, forward=forward, evaluated=evaluated)
