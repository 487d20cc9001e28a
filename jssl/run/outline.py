"""Says what a run would take, without starting it: `jssl train NAME --plan`."""

from jssl.run.footprint import in_words
from jssl.run.plan import Plan

RATE = 1e14  # operations a second that a device of today reaches


def outline(plan: Plan) -> list[str]:
    """Says how much memory and computation a planned run would take; compiles nothing.

    Args:
        plan: Of `jssl.run.plan`.
    Returns:
        Lines: steps, data, memory, operations.
    """
    return [
        plan.budget,
        f"{plan.data.source.name}: {len(plan.data):,} images",
        in_words(plan.needs),
        operations_in_words(plan),
    ]


def operations_in_words(plan: Plan) -> str:
    """Says how long a planned run takes on a fast device, by its matrix products."""
    whole, rate = plan.operations * plan.experiment.steps, f"{RATE:.0e}".replace("+", "")
    return (
        f"matrix products of {plan.operations:.3g} operations a step, {whole:.3g} in all; at {rate} a "
        f"second on each device {whole / RATE / 3600 / plan.mesh.size:.3g} hours"
    )
