"""Is training worth continuing? DINO trains a network here, which is exported under timm's names, loaded
back, and continued by other methods, each from the same file.

    python -m benchmarks.continuing                                                   # scenes:color
    python -m benchmarks.continuing --data tfds:cifar10 --data-dir DIR --by dinov2 dinov3 --steps 500
    python -m benchmarks.continuing --steps 4 --per-class 20                          # only whether it runs

Prints a Markdown table of both probes, before and after, and writes it to <out>/<data>/continuing.md. Each
row is a run of its own below <out>/<data>: run the same line again to go on from where it was stopped.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import jssl
from benchmarks.learning import on
from jssl.evaluate.table import LEARNED, RANDOM
from jssl.run.evaluation.probing import STARTED
from jssl.run.settings.systems import module_of
from jssl.run.weights.export import export

HEADER = """\
| method | starts from | steps | kNN: before | kNN: after | linear: before | linear: after |
|---|---|---|---|---|---|---|"""


def trained(name: str, settings, out: Path) -> str:
    """Carries a run out.

    Args:
        name: Of the system, for the table.
        settings: Of the run.
        out: Its directory.
    Returns:
        Its row of the table.
    """
    began = time.process_time()
    table = jssl.run(settings, out=str(out)).table
    print(f"{name}: {(time.process_time() - began) / 60:.1f} CPU minutes since it was last begun", flush=True)
    before = table.get(STARTED) or table[RANDOM]
    figures = [row[probe] for probe in ("knn_top1", "linear_top1") for row in (before, table[LEARNED])]
    origin = "weights" if settings.start else "random numbers"
    cells = [name, origin, settings.steps, *(f"{100 * x:.1f}" for x in figures)]
    return f"| {' | '.join(map(str, cells))} |"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="scenes:color", help="what all of them see")
    parser.add_argument("--data-dir", help="where TFDS has its data sets")
    parser.add_argument("--steps", type=int, default=250, help="of each run")
    parser.add_argument("--per-class", type=int, help="train on so many images of each class")
    parser.add_argument("--by", nargs="+", default=["ibot", "mae", "fine_tune"], metavar="METHOD")
    parser.add_argument("--out", type=Path, default=Path("runs/continuing"))
    chosen = parser.parse_args()

    out, weights = chosen.out / chosen.data.replace(":", "_"), None
    rows = [HEADER]
    for name in ("dino", *chosen.by):
        settings = on(name, chosen.data, chosen.data_dir)
        settings = replace(settings, encoder=module_of("dino").demo.encoder, size=24, steps=chosen.steps)
        settings = replace(settings, per_class=chosen.per_class, start=weights)
        rows.append(trained(name, settings, out / name))
        if weights is None:
            weights = str(out / "dino_timm")
            export(out / name, weights, names="timm")
        (out / "continuing.md").write_text("\n".join(rows) + "\n")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
