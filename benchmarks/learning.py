"""Does every method learn? Trains each one's demo and prints one table: raw pixels, random network, learned.

    python -m benchmarks.learning                                           # on digits
    python -m benchmarks.learning --data tfds:cifar10 --data-dir DIR        # the same budget on CIFAR-10
    python -m benchmarks.learning --only simclr dino --out runs/learning    # some; run again to resume

Prints a Markdown table and writes it to <out>/<data>.md; every run has its report in <out>/<data>/<method>.
"""

import argparse
import importlib
import os
import time
from pathlib import Path

from jssl.evaluate import Scores
from jssl.experiment import run

IMAGES = (
    "simclr", "moco_v2", "byol", "barlow_twins", "swav", "pcl", "dino", "ibot", "mae", "simmim", "i_jepa",
    "rotation", "mim_contrast",
)  # fmt: skip
CAPTIONED = ("clip", "slip")  # their demos bring images with captions
HEADER = """\
| method | steps | CPU minutes | kNN: pixels | kNN: random | kNN: learned | linear: random | linear: learned |
|---|---|---|---|---|---|---|---|"""


def measure(name: str, *, out: Path, **changes) -> str:
    """Trains one method's demo, with other settings if wanted.

    Returns: its row of the table.
    """
    module = importlib.import_module(f"experiments.{name}")
    settings = module.demo | changes
    began = time.process_time()
    result = run(module.experiment, **settings, out=str(out / name))
    minutes = (time.process_time() - began) / 60
    table: dict[str, Scores] = result.table
    pixels, random, learned = (table[key] for key in ("raw pixels", "random network", "learned"))
    shown = [pixels.knn, random.knn, learned.knn, random.linear, learned.linear]
    return f"| {name} | {settings['steps']} | {minutes:.1f} | " + " | ".join(f"{100 * x:.1f}" for x in shown) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir", help="where TFDS has its data sets")
    parser.add_argument("--only", nargs="+", metavar="METHOD")
    parser.add_argument("--out", type=Path, default=Path("runs/learning"))
    arguments = parser.parse_args()
    names = arguments.only or [*IMAGES, *(CAPTIONED if arguments.data == "digits" else ())]

    out = arguments.out / arguments.data.replace(":", "_")
    rows = [f"`{arguments.data}`, {os.cpu_count()} CPU cores", "", HEADER]
    print("\n".join(rows), flush=True)
    for name in names:
        changes = {} if name in CAPTIONED else dict(data=arguments.data, data_dir=arguments.data_dir)
        rows.append(measure(name, out=out, **changes))
        print(rows[-1], flush=True)
    (arguments.out / f"{out.name}.md").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
