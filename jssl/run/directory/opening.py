"""Shows a run's report, which is what `jssl open` does, and the commands that usually follow a run."""

import argparse
import shlex
import webbrowser
from pathlib import Path

from jssl.data.catalog import KINDS
from jssl.run.directory.record import REPORT
from jssl.weights.directory import as_path, read_config


def next_commands(directory, data: str, *, data_dir: str | None = None, named: bool = True) -> list[str]:
    """Returns the commands that usually follow a run that has ended.

    Args:
        directory: Of the run.
        data: The name of what it was trained on.
        data_dir: Where TFDS has it, if it was given.
        named: Whether config.json describes its network; one of the user's own may have no description.
    Returns:
        Commands that show the report and, for a network with a description, write features and export
        weights.
    Examples:
        >>> next_commands("runs/dino", "folder:photos")[1]
        'jssl embed runs/dino folder:photos --out runs/dino/features.npz'
    """
    run, kind = shlex.quote(str(directory)), data.partition(":")[0]
    given = shlex.quote(data) if kind in KINDS else "DATA"  # arrays have no name to give
    if kind == "tfds" and data_dir is not None:
        given += f" --data-dir {shlex.quote(data_dir)}"
    opens = (
        f"jssl embed {run} {given} --out {run}/features.npz",
        f"jssl export {run} --out {run}/encoder.safetensors",
    )
    return [f"jssl open {run}", *(opens if named else ())]


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
