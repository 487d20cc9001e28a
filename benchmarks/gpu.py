"""How fast jssl trains on one accelerator, beside torch on the same one: a JSON line per case, as soon as it
is measured.

    python -m benchmarks.gpu --seconds 450                 # needs no more than `pip install jssl`
    python -m benchmarks.gpu --only vit_ --seconds 200    # the cases whose names have one of these, by commas
    python -m benchmarks.gpu --tiny                        # the logic alone, in miniature, on a CPU

Groups of cases run in processes of their own, so that a crash or a full memory costs one case. The programs
of a group are compiled side by side, its cases are then timed one by one. docs/gpu.md says what the figures
are.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import timing, torch_rival
from benchmarks.gpu_cases import GROUPS, TINY, Sizes

# A group: runs in a process of its own.


def measure_group(group: str, names: list[str], sizes: Sizes, *, ends: float, compiling: int = 6):
    """Measures the named cases of a group, saying a line for each.

    Args:
        group: one of `GROUPS`.
        names: of its cases.
        sizes: what is measured.
        ends: the time, by `time.monotonic`, after which no case is compiled.
        compiling: how many programs are compiled side by side.
    """
    if group == "torch":
        fields = dict(batch=sizes.batch(256), side=sizes.side, canvas=sizes.canvas, hidden=sizes.hidden)
        limits = dict(seconds=sizes.seconds, least=sizes.least)
        try:
            return torch_rival.measure(say, **fields, **limits, tiny=sizes is TINY)
        except ImportError as error:
            return say(case=names[0], error=short(error))
    if "ceilings" in names:
        side, words = (256, 2**16) if sizes is TINY else (8192, 2**30)
        attempt("ceilings", lambda: timing.ceilings(side=side, words=words))
    names = [name for name in names if name != "ceilings"]
    with ThreadPoolExecutor(compiling) as pool:
        for some in (names[i : i + 5] for i in range(0, len(names), 5)):
            measure_some({name: GROUPS[group][name] for name in some}, sizes, pool, ends=ends)


def measure_some(cases: dict, sizes: Sizes, pool: ThreadPoolExecutor, *, ends: float):
    """Compiles a few cases side by side; times them one by one when all are compiled."""
    ready = {}
    for name, build in cases.items():
        try:
            if time.monotonic() > ends:
                raise TimeoutError("no time left")
            ready[name] = timing.compiled(build(sizes), pool)
        except Exception as error:
            say(case=name, error=short(error))
    for compiled in ready.values():
        compiled.program.exception()
    for name, compiled in ready.items():
        attempt(name, lambda: figures_of(name, compiled, sizes))  # noqa: B023  (called at once)


def figures_of(name, compiled, sizes):
    figures = timing.measured(compiled, seconds=sizes.seconds, least=sizes.least)
    if name.startswith("resnet18_cifar"):
        figures["minutes_for_200_epochs"] = round(200 * sizes.samples / figures["images_per_s"] / 60, 2)
    return figures


def attempt(case, measure):
    try:
        say(case=case, **measure())
    except Exception as error:  # the next case is measured all the same
        say(case=case, error=short(error))


def say(**figures):
    print(json.dumps(figures), flush=True)


def short(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


# The parent: starts the groups and shares out the time.


def run_groups(wanted: list[str], options):
    """Runs all groups, each in a process; after a crash, what is left of a group in another one."""
    ends = time.monotonic() + options.seconds
    for group, cases in GROUPS.items():
        names = [name for name in cases if not wanted or any(part in name for part in wanted)]
        while names and ends - time.monotonic() > options.least:
            done, code = run_group(group, names, ends - time.monotonic(), options)
            if code == 0:
                break
            at = sum(name in done for name in names)  # the case under way when the process died
            say(case=names[at] if at < len(names) else group, error=f"process ended with code {code}")
            names = names[at + 1 :]
        else:
            for name in names:
                say(case=name, skipped="no time left")


def run_group(group, names, seconds, options) -> tuple[set[str], int]:
    """Runs cases in a process of their own, passing its lines on; returns the cases that gave a line, and its
    code.
    """
    command = [sys.executable, "-m", "benchmarks.gpu", "--child", group, "--only", ",".join(names)]
    command += ["--seconds", str(seconds)] + ["--tiny"] * options.tiny
    errors = None if options.verbose else subprocess.DEVNULL
    pipes = dict(stdout=subprocess.PIPE, stderr=errors, text=True)
    child = subprocess.Popen(command, env=surroundings(options.tiny), **pipes)
    stop = threading.Timer(seconds + 15, child.kill)
    stop.daemon = True
    stop.start()
    done = set()
    for line in child.stdout:
        if line.startswith("{"):
            print(line, end="", flush=True)
            done.add(json.loads(line).get("case"))
    code = child.wait()
    stop.cancel()
    return done, code


def surroundings(tiny) -> dict[str, str]:
    """The environment of a group: nearly all of the device's memory, and programs kept for the next time."""
    kept = {"JAX_COMPILATION_CACHE_DIR": str(Path.home() / ".cache" / "jssl" / "xla")}
    defaults = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5"}
    return (kept | defaults | os.environ) if not tiny else os.environ | {"JAX_PLATFORMS": "cpu"}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=450, help="what all cases may take together")
    parser.add_argument("--least", type=float, help="seconds left under which no group is started (30)")
    parser.add_argument("--only", default="", help="parts of names of cases, by commas")
    parser.add_argument("--tiny", action="store_true", help="miniatures, on the CPU")
    parser.add_argument("--verbose", action="store_true", help="the groups' error output too")
    parser.add_argument("--child", choices=GROUPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.least is None:
        options.least = 0 if options.tiny else 30
    wanted = [part for part in options.only.split(",") if part]
    began = time.monotonic()
    if options.child is None:
        run_groups(wanted, options)
        return say(case="end", seconds=round(time.monotonic() - began, 1))
    sizes = TINY if options.tiny else Sizes()
    ends = began + options.seconds - (0 if options.tiny else 25)
    measure_group(options.child, wanted, sizes, ends=ends, compiling=1 if options.tiny else 6)


if __name__ == "__main__":
    main()
