"""Does every method learn? Trains each one's demo and prints one table: raw pixels, random network, learned;
and, of methods whose label a transform makes, how well that task is done on held-out images.

    python -m benchmarks.learning                                           # each on its own demo's data
    python -m benchmarks.learning --data digits                             # all on one
    python -m benchmarks.learning --data tfds:cifar10 --data-dir DIR --images 64000  # the papers' views
    python -m benchmarks.learning --only simclr dino --out runs/learning    # some; run again to resume
    python -m benchmarks.learning --only vicreg --seeds 2                   # the mean of two runs

Prints a Markdown table and writes it to <out>/<data>.md; every run has its report in <out>/<data>/<method>.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

from jssl.experiments import REGISTRY

import jssl
from jssl.evaluate.protocols.base import shown
from jssl.evaluate.table import CHANCE, LEARNED, RANDOM, RAW, Table
from jssl.run.settings.systems import module_of, named

VIEWS = {"digits": "handwriting", "scenes": "crops"}  # of the systems whose demos have views of their own
HEADER = """\
| method | data | steps | CPU minutes | kNN: pixels | kNN: random | kNN: learned | linear: random \
| linear: learned | own task: chance | own task: learned |
|---|---|---|---|---|---|---|---|---|---|---|"""


def on(name: str, data: str, data_dir: str | None):
    """A demo's settings on other data, with views that fit it: its paper's, where the data is photographs."""
    demo, paper = module_of(name).demo, named(name)().views
    own = VIEWS.get(data.partition(":")[0], paper) if demo.views != paper else paper
    return replace(demo, data=data, data_dir=data_dir, views=own)


def measure(
    name: str, *, out: Path, data: str | None, data_dir: str | None, images: int | None, seeds: int
) -> str:
    """Trains one system's demo, on other data or for another number of images if wanted.

    Args:
        name: Of the system.
        out: Where the runs' directories are made.
        data: Other data than the demo's.
        data_dir: Where TFDS has its data sets.
        images: How many images it sees; None: as many as in the demo.
        seeds: Runs, with the seeds 0, 1 and so on; the row has the mean of their figures.
    Returns:
        Its row of the table.
    """
    settings = on(name, data, data_dir) if data else module_of(name).demo
    settings = replace(settings, steps=images // settings.batch) if images else settings
    began = time.process_time()
    runs = [
        jssl.run(settings, out=str(out / (f"{name}-{seed}" if seed else name)), seed=seed)
        for seed in range(seeds)
    ]
    minutes = (time.process_time() - began) / 60
    steps, table = int(runs[0].state.step), mean([run.table for run in runs])
    pixels, random, learned = (table[key] for key in (RAW, RANDOM, LEARNED))
    found = [row["knn_top1"] for row in (pixels, random, learned)]
    found += [row["linear_top1"] for row in (random, learned)]
    cells = [name, settings.data, steps, f"{minutes:.1f}", *(f"{100 * x:.1f}" for x in found)]
    return f"| {' | '.join(map(str, [*cells, *own_task(table)]))} |"


def mean(tables: list[Table]) -> Table:
    """Averages tables of the same rows and metrics."""
    return {
        row: {metric: sum(table[row][metric] for table in tables) / len(tables) for metric in metrics}
        for row, metrics in tables[0].items()
    }


def own_task(table: Table) -> list[str]:
    """What a guess and the network reach in the method's own task; dashes without one."""
    cells = [
        (shown(metric, value), shown(metric, table[LEARNED][metric]))
        for metric, value in table.get(CHANCE, {}).items()
    ]
    return ["; ".join(column) for column in zip(*cells, strict=True)] or ["-", "-"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="for all of them; by default each has its demo's")
    parser.add_argument("--data-dir", help="where TFDS has its data sets")
    parser.add_argument("--images", type=int, help="how many each of them sees; by default its demo's steps")
    parser.add_argument("--only", nargs="+", metavar="METHOD")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each, whose mean is printed")
    parser.add_argument("--out", type=Path, default=Path("runs/learning"))
    arguments = parser.parse_args()
    captions = (arguments.data or "scenes").startswith("scenes")
    names = arguments.only or [name for name, s in REGISTRY.items() if captions or s.needs == "images"]

    out = arguments.out / (arguments.data or "demos").replace(":", "_")
    rows = [f"{os.cpu_count()} CPU cores", "", HEADER]
    print("\n".join(rows), flush=True)
    budget = dict(data=arguments.data, data_dir=arguments.data_dir, images=arguments.images)
    budget |= dict(seeds=arguments.seeds)
    for name in names:
        rows.append(measure(name, out=out, **budget))
        print(rows[-1], flush=True)
    (arguments.out / f"{out.name}.md").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
