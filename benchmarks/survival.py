"""Checks that runs that are killed with -9 at random moments give the same results as undisturbed runs.

    python -m benchmarks.survival --kills 30

Parameters, teacher, memory, optimizer and metrics.jsonl are compared bit for bit, and TensorBoard's figures.
Every kill comes at a moment drawn from the whole life of the process, its start, its saves and its report
included.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jssl.run.directory.record import METRICS
from jssl.weights.directory import newest_state

SPEEDS = ("images_per_second", "data_wait")  # what a clock says differs from run to run
TINY = ["--demo", "--size", "16", "--batch", "16", "--steps", "200", "--epochs", "20", "--hidden", "32"]
OFTEN = ["--log-every", "3", "--checkpoint-every", "10"]
CASES = {  # systems with memory of every kind, and what makes them small
    "moco_v2": ["--dim", "16", "--queue", "64"],
    "pcl": ["--dim", "16", "--queue", "64", "--clusters", "8", "16", "--negatives", "8"],
    "byol": ["--dim", "16"],
    "swav": ["--dim", "16", "--prototypes", "32"],
    "dino": ["--prototypes", "64", "--bottleneck", "16"],
    "ibot": ["--prototypes", "64", "--bottleneck", "16"],
}


class Outcome(NamedTuple):
    """The result of killing one run several times.

    Attributes:
        kills: Processes that were killed.
        rounds: Runs that they belonged to: a run may end before it is killed again.
        differences: Differences from the undisturbed run, in words; empty where there are none.
    """

    kills: int
    rounds: int
    differences: list[str]


def difference(one, other) -> list[str]:
    """Compares two finished runs.

    Args:
        one, other: Their directories.
    Returns:
        What differs, in words.
    """
    found = []
    states = [jax.tree_util.tree_leaves_with_path(newest_state(run)) for run in (one, other)]
    if [path for path, _ in states[0]] != [path for path, _ in states[1]]:
        return ["the states have other arrays"]
    for (path, a), (_, b) in zip(*states, strict=True):
        if np.asarray(a).tobytes() != np.asarray(b).tobytes():
            found.append(f"state{jax.tree_util.keystr(path)}")
    if logged(one) != logged(other):
        found.append(METRICS)
    if shown(one) != shown(other):
        found.append("TensorBoard's events")
    return found


def logged(directory) -> list[dict[str, float]]:
    """The lines of a run's metrics.jsonl, without speeds."""
    rows = [json.loads(line) for line in (Path(directory) / METRICS).read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in SPEEDS} for row in rows]


def shown(directory) -> list[tuple[int, str, float]]:
    """What TensorBoard shows of a run but speeds and pictures: later files hide earlier ones' same steps."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    scalars: list[tuple[int, str, float]] = []
    for path in sorted(Path(directory).glob("events.out.tfevents.*")):
        content, place = path.read_bytes(), 0
        while place + 12 <= len(content):
            size = int.from_bytes(content[place : place + 8], "little")
            if place + 16 + size > len(content):
                break  # cut short by a kill
            event = Event.FromString(content[place + 12 : place + 12 + size])
            place += 16 + size
            if event.session_log.status == SessionLog.START:
                scalars = [scalar for scalar in scalars if scalar[0] < event.step]
            scalars += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
    parts = [(group, name) for group, _, name in (tag.rpartition("/") for _, tag, _ in scalars)]
    return [
        scalar
        for scalar, (group, name) in zip(scalars, parts, strict=True)
        if group != "figures" and name not in SPEEDS
    ]


def survive(
    command: Sequence[str], folder: Path, *, kills: int, rng: random.Random, environment=None
) -> Outcome:
    """Runs a command undisturbed, then again while killing it, and compares what is left.

    Args:
        command: Of a run, without --out.
        folder: Where both runs go.
        kills: How many processes are killed.
        rng: Draws the moments.
        environment: Of the processes.
    Returns:
        An `Outcome`.
    """
    whole, out = folder / "whole", folder / "killed"

    def start(directory):
        pipes = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        return subprocess.Popen([*command, "--out", str(directory)], env=environment, **pipes)

    def finish(directory):
        process = start(directory)
        _, complaint = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {complaint}")

    finish(whole)
    began = time.perf_counter()
    finish(folder / "again")  # with everything compiled, as the killed runs have it
    life, done, rounds = time.perf_counter() - began, 0, 0
    differences = difference(folder / "again", whole)
    while done < kills:
        process = start(out)
        try:
            process.communicate(timeout=rng.uniform(0.1, 0.95) * life)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            done += 1
            continue
        finish(out)  # the process ended before the kill: finish what is left
        rounds += 1
        differences += difference(out, whole)
        shutil.rmtree(out)
    finish(out)
    return Outcome(done, rounds + 1, differences + difference(out, whole))


def images(folder: Path) -> str:
    """Writes a few images without labels, and gives the name of that data."""
    pixels = np.random.default_rng(0).integers(0, 256, (160, 16, 16, 3), np.uint8)
    np.savez(folder / "images.npz", images=pixels)
    return f"npz:{folder / 'images.npz'}"


def main(say: Callable[[str], None] = print) -> None:
    """Kills and compares; the exit code is 1 where anything differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30, help="of all systems together")
    parser.add_argument("--systems", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    rng, bad = random.Random(arguments.seed), False
    with tempfile.TemporaryDirectory(prefix="jssl-survival-") as place:
        folder = Path(place)
        data = images(folder)
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
        for number, name in enumerate(arguments.systems):
            share = len(range(number, arguments.kills, len(arguments.systems)))
            command = [
                sys.executable,
                "-m",
                "jssl",
                "train",
                name,
                *TINY,
                *OFTEN,
                "--data",
                data,
                *CASES[name],
            ]
            (folder / name).mkdir()
            began = time.perf_counter()
            outcome = survive(command, folder / name, kills=share, rng=rng, environment=environment)
            same = (
                f"differs in {', '.join(outcome.differences)}"
                if outcome.differences
                else "the same, bit for bit"
            )
            seconds = time.perf_counter() - began
            say(f"{name}: {outcome.kills} kills in {outcome.rounds} runs, {same} ({seconds:.0f} s)")
            bad |= bool(outcome.differences)
    sys.exit(bad)


if __name__ == "__main__":
    main()
