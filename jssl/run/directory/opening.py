"""A run's report, shown: what `jssl open` does, and what can be done with a run next."""

import argparse
import shlex
import webbrowser
from pathlib import Path

from jssl.data.catalog import KINDS
from jssl.run.directory.record import REPORT
from jssl.weights.directory import as_path, read_config


def next_commands(directory, data: str) -> list[str]:
    """Says what is usually done with a run that has ended.

    Args:
        directory: Of the run.
        data: The name of what it was trained on.
    Returns:
        Three commands: look at the report, write features, hand the weights on.
    Examples:
        >>> next_commands("runs/dino", "folder:photos")[1]
        'jssl embed runs/dino folder:photos --out runs/dino/features.npz'
    """
    run, known = shlex.quote(str(directory)), data.partition(":")[0] in KINDS  # arrays have no name to give
    return [
        f"jssl open {run}",
        f"jssl embed {run} {shlex.quote(data) if known else 'DATA'} --out {run}/features.npz",
        f"jssl export {run} --out {run}/encoder.safetensors",
    ]


def main(arguments: list[str]) -> None:
    """The command `jssl open`."""
    parser = argparse.ArgumentParser(
        prog="jssl open",
        description="Shows the report of a run in a browser, and prints where it lies.\n\n"
        "    jssl open runs/dino\n"
        "    jssl open runs/dino --print       only where",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", help="of the run")
    parser.add_argument("--print", action="store_true", help="open no browser")
    chosen = parser.parse_args(arguments)
    read_config(chosen.directory)
    report = as_path(chosen.directory) / REPORT
    if not report.exists():
        raise ValueError(f"{chosen.directory} has no {REPORT} yet: it is written when the run ends")
    print(report)
    if not chosen.print and "://" not in str(report):
        webbrowser.open(Path(report).resolve().as_uri())
