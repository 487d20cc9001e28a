"""The lines that a run prints before it begins."""

import os
import sys
from collections.abc import Iterator

from jssl.run.data.supply import Supply
from jssl.run.evaluation.probing import Probes
from jssl.run.footprint import in_words
from jssl.run.outline import operations_in_words
from jssl.run.plan import Plan
from jssl.weights.directory import as_path


def preface(plan: Plan, data: Supply, probes: Probes | None) -> Iterator[str]:
    """Describes a run: its budget, its data, the images of its probes, and what a step takes.

    Args:
        plan: The run's.
        data: The supply of its steps.
        probes: None where there is nothing to test on.
    Yields:
        Lines.
    """
    options, name = plan.options, plan.data.source.name
    yield f"{plan.name} on {name}: {plan.budget}; results in {as_path(options.out)}"
    yield f"{name}: {len(plan.data):,} images {data.how}; {_words(plan.mesh)}{_faster(plan.mesh)}"
    yield from plan.data.notes
    if options.accumulate > 1 and not options.accumulate_exactly:
        yield (
            f"--accumulate {options.accumulate}: a loss that compares the images of a batch, such as a "
            "contrastive one, compares those of a part, and what is remembered of batches, such as a center, "
            "moves after each; --accumulate-exactly keeps the whole batch's"
        )
    if probes is not None:
        images = len(plan.data.source), len(plan.data.test or ())
        train, test = probes.sizes
        if plan.data.records is not None:
            yield f"probes look at {images[0]:,} training and {images[1]:,} test images"
        if probes.sizes != images:
            some = f"{train:,} training and {test:,} test images"
            yield f"kNN while training looks at {some}, at the end at all"
    yield in_words(plan.needs)
    yield operations_in_words(plan)


def _words(mesh) -> str:
    parts = [f"{axis}={size}" for axis, size in mesh.shape.items() if size > 1]
    kind = mesh.devices.flat[0].platform
    return f"mesh {','.join(parts)} of {kind}" if parts else f"one {kind}"


def _faster(mesh) -> str:
    """A line about what makes steps on a CPU faster: memory that glibc takes from Linux in huge pages."""
    setting = "glibc.malloc.hugetlb"
    slow = sys.platform == "linux" and setting not in os.environ.get("GLIBC_TUNABLES", "")
    if not slow or mesh.devices.flat[0].platform != "cpu":
        return ""
    return (
        f"; `export GLIBC_TUNABLES={setting}=1` before the command makes its steps a quarter faster or more"
    )
