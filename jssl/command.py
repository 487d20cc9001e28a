"""The `jssl` command and its subcommands.

A subcommand is one entry of `COMMANDS`: its name, its purpose, and a function of the remaining arguments,
which is imported when it is called.
"""

import importlib
import sys
from typing import NamedTuple

from jssl import __version__
from jssl.run.command import one_line, print_any_name

INTERRUPTED = 130  # exit code, as shells have it


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        does: What it is for, in a few words.
        function: module:name of a function that takes a list of arguments.
    """

    does: str
    function: str


COMMANDS = {
    "list": Command(
        "show all systems, or the page of one: jssl list dino; --weights: all published weights",
        "jssl.run.pages:listing",
    ),
    "train": Command(
        "train a system: jssl train simclr --demo; without a name: which systems suit your data",
        "jssl.run.command:train",
    ),
    "embed": Command(
        "write the features of a data set: jssl embed facebook/dinov2-small DATA --out F",
        "jssl.run.evaluation.embed:main",
    ),
    "curate": Command(
        "choose images by their features: drop copies, keep those nearest to wanted ones",
        "jssl.run.curate:main",
    ),
    "evaluate": Command(
        "score weights or a run by named protocols: jssl evaluate runs/dino --protocol knn linear_dino",
        "jssl.run.evaluation.protocols:main",
    ),
    "compare": Command(
        "compare runs, with mean and deviation over seeds: jssl compare runs/*",
        "jssl.run.evaluation.comparison:main",
    ),
    "export": Command(
        "write the encoder of a run as safetensors, under our, timm's, Meta's or the hub's names",
        "jssl.run.weights.export:main",
    ),
    "gallery": Command(
        "draw what views do to images: jssl gallery dino --data photos --out F", "jssl.run.gallery:main"
    ),
    "open": Command(
        "show the report of a run in a browser: jssl open runs/dino", "jssl.run.directory.opening:main"
    ),
    "completion": Command(
        "print the script that completes these commands in a shell", "jssl.command:completion"
    ),
}


def completion(arguments: list[str]) -> None:
    """Prints the script that completes these commands: `eval "$(jssl completion bash)"`."""
    from jssl.run import completion as made

    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: jssl completion bash|zsh\n\n{made.__doc__}")
        return
    print(made.script(arguments[0], COMMANDS))


def main(arguments: list[str] | None = None) -> None:
    """Runs a subcommand. If it is refused, it ends with one line on stderr and exit code 2; if it is
    interrupted, with one line and 130.

    Args:
        arguments: By default those of the process.
    """
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print("usage: jssl COMMAND ...\n")
        print("\n".join(f"  {command:<11} {entry.does}" for command, entry in COMMANDS.items()))
        print('\n`jssl COMMAND --help` has examples. Completion: eval "$(jssl completion bash)"')
        return
    if name == "--version":
        print(__version__)
        return
    print_any_name()
    try:
        with one_line():
            if name not in COMMANDS:
                raise ValueError(f"jssl has no command {name!r}; it has {', '.join(COMMANDS)}")
            module, _, function = COMMANDS[name].function.partition(":")
            getattr(importlib.import_module(module), function)(rest)
    except KeyboardInterrupt as stop:
        print(str(stop) or "interrupted", file=sys.stderr, flush=True)
        sys.exit(INTERRUPTED)
