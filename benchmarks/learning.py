"""Does every method learn? Trains each one's demo and prints one table: raw pixels, random network, learned.

    python -m benchmarks.learning                                           # each on its own demo's data
    python -m benchmarks.learning --data digits                             # all on one
    python -m benchmarks.learning --data tfds:cifar10 --data-dir DIR --images 64000     # one budget, the papers' views
    python -m benchmarks.learning --only simclr dino --out runs/learning    # some; run again to resume

Prints a Markdown table and writes it to <out>/<data>.md; every run has its report in <out>/<data>/<method>.
"""

import argparse
import importlib
import os
import time
from pathlib import Path

from jssl.run import run

IMAGES = (
    "simclr",
    "moco_v2",
    "byol",
    "barlow_twins",
    "swav",
    "pcl",
    "dino",
    "ibot",
    "mae",
    "simmim",
    "i_jepa",
    "rotation",
    "mim_contrast",
)
CAPTIONED = ("clip", "slip")  # on scenes only
VIEWS = {"digits": "handwriting", "scenes": "crops"}  # of the methods whose demos have views of their own
HEADER = """\
| method | data | steps | CPU minutes | kNN: pixels | kNN: random | kNN: learned | linear: random | linear: learned |
|---|---|---|---|---|---|---|---|---|"""


def on(demo: dict, data: str, data_dir: str | None) -> dict:
    """A demo's settings with other data, and with views that fit it: its paper's, where the data is photographs."""
    views = VIEWS.get(data.partition(":")[0])
    kept = {name: value for name, value in demo.items() if name != "views"}
    return kept | dict(data=data, data_dir=data_dir) | ({"views": views} if views and "views" in demo else {})


def measure(name: str, *, out: Path, data: str | None, data_dir: str | None, images: int | None) -> str:
    """Trains one method's demo, on other data or for another number of images if wanted.

    Returns: its row of the table.
    """
    module = importlib.import_module(f"experiments.{name}")
    settings = on(module.demo, data, data_dir) if data else module.demo
    settings = settings | ({"steps": images // settings["batch"]} if images else {})
    began = time.process_time()
    result = run(module.experiment, **settings, out=str(out / name))
    minutes = (time.process_time() - began) / 60
    pixels, random, learned = (result.table[key] for key in ("raw pixels", "random network", "learned"))
    shown = [row["knn_top1"] for row in (pixels, random, learned)]
    shown += [row["linear_top1"] for row in (random, learned)]
    cells = [name, settings["data"], settings["steps"], f"{minutes:.1f}", *(f"{100 * x:.1f}" for x in shown)]
    return f"| {' | '.join(map(str, cells))} |"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="for all of them; by default each has its demo's")
    parser.add_argument("--data-dir", help="where TFDS has its data sets")
    parser.add_argument("--images", type=int, help="how many each of them sees; by default its demo's steps")
    parser.add_argument("--only", nargs="+", metavar="METHOD")
    parser.add_argument("--out", type=Path, default=Path("runs/learning"))
    arguments = parser.parse_args()
    scenes = (arguments.data or "scenes").startswith("scenes")
    names = arguments.only or [*IMAGES, *(CAPTIONED if scenes else ())]

    out = arguments.out / (arguments.data or "demos").replace(":", "_")
    rows = [f"{os.cpu_count()} CPU cores", "", HEADER]
    print("\n".join(rows), flush=True)
    budget = dict(data=arguments.data, data_dir=arguments.data_dir, images=arguments.images)
    for name in names:
        rows.append(measure(name, out=out, **budget))
        print(rows[-1], flush=True)
    (arguments.out / f"{out.name}.md").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
