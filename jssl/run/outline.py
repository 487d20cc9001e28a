"""What a run would take, said without starting it: `jssl train NAME --plan`."""

import jax

from jssl.arrays.jaxprs import matrix_flops
from jssl.run.experiment import DataInfo
from jssl.run.footprint import in_words
from jssl.run.plan import Plan, step_of


def outline(plan: Plan) -> list[str]:
    """Says what a planned run would take of its devices; compiles nothing.

    Args:
        plan: Of `jssl.run.plan`.
    Returns:
        Lines: steps, data, memory, operations.
    """
    batch = DataInfo(**plan.config["data"]).batch(plan.experiment.batch)
    each = matrix_flops(jax.make_jaxpr(step_of(plan))(plan.state, batch).jaxpr)
    whole = each * plan.experiment.steps
    return [
        plan.budget,
        f"{plan.data.source.name}: {len(plan.data):,} images",
        in_words(plan.needs),
        f"matrix products of {each:.3g} operations a step, {whole:.3g} in all; at 1e14 a second on each "
        f"device {whole / 3.6e17 / plan.mesh.size:.3g} hours",
    ]
