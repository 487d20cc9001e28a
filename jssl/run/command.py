"""The command line of an experiment: its settings' fields, and those of `Options`."""

import contextlib
import errno
import io
import logging
import re
import shlex
import sys
import typing
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from jssl.checkpoint import Unusable
from jssl.data.source import Source
from jssl.extras import extra
from jssl.run.directory.lock import Occupied
from jssl.run.footprint import check_room
from jssl.run.interrupt import Interrupted, Interrupts, listening
from jssl.run.outline import outline
from jssl.run.plan import experiment_name, plan
from jssl.run.settings.choosing import print_choices
from jssl.run.settings.experiment import Settings
from jssl.run.settings.options import Options
from jssl.run.settings.systems import module_of
from jssl.run.training import carry_out
from jssl.run.watch import NonFinite
from jssl.sharding import check_devices, join_processes
from jssl.weights.loaded import Loaded

REFUSED, BROKEN = 2, 1  # exit codes: nothing was started; training cannot go on
REFUSALS = (ValueError, OSError, ImportError)  # what cannot be run, in one line


def main(demo: Settings, arguments: list[str] | None = None, *, command: list[str] | None = None) -> None:
    """Reads the command line of an experiment, runs it, and exits.

    A run that is refused ends with one line on stderr and exit code 2, before anything is compiled or
    written. After a signal, the run is saved, the command that resumes it is printed, and the exit code is 0,
    or 1 where steps have to be taken again.

    Args:
        demo: The experiment's settings under --demo; without it, its class's defaults hold.
        arguments: By default those of the process.
        command: The words before the arguments, such as jssl train dino; by default those of this process.
    """
    arguments, command = sys.argv[1:] if arguments is None else arguments, command or invoked()
    print_any_name()
    with listening() as interrupts:
        try:
            _main(demo, arguments, command, interrupts)
        except Interrupted as stop:
            interrupts.ignore()
            print(f"{stop}; resume with: {shlex.join([*command, *arguments])}", flush=True)
            sys.exit(BROKEN if stop.lost else 0)


def _main(demo: Settings, arguments: list[str], command: list[str], interrupts: Interrupts) -> None:
    with one_line():
        settings, options = parse(demo, arguments, command=command)
        join_processes(options.coordinator, processes=options.processes, process=options.process)
        check_devices()
        planned = plan(settings, options, given=flags(arguments))
        planned = planned._replace(command=shlex.join([*command, *arguments]))
        if "--plan" in arguments:
            print(*outline(planned), sep="\n")
            return
        check_room(planned.needs, list(planned.mesh.devices.flat))
        with extra():
            from tqdm import tqdm

    for writer in ("absl", "asyncio"):  # Orbax's; what goes wrong there is said in one line below
        logging.getLogger(writer).setLevel(logging.CRITICAL)
    sys.unraisablehook = once_said(sys.unraisablehook)
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        carry_out(planned, interrupts, say=tqdm.write)
    except (Occupied, Unusable) as refused:
        leave(REFUSED, refused)
    except NonFinite as broken:
        leave(BROKEN, broken)
    except OSError as broken:
        leave(BROKEN, unwritten(broken, planned.options.out))


def train(arguments: list[str]) -> None:
    """Runs a system by its name: `jssl train NAME ...`."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print_choices()
        return
    with one_line():
        module = module_of(name)
    main(module.demo, rest, command=[*invoked(), "train", name])


def print_any_name() -> None:
    """Makes standard output escape what it cannot encode, such as bytes of a file's name."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # in notebooks it is another class, which takes anything
        sys.stdout.reconfigure(errors="backslashreplace")


@dataclass(frozen=True)
class _Run(Options):
    """The options of a command: those of a run, whether it is the demo's, and whether it is to be started."""

    demo: bool = False
    """Small data and a small network, for a few minutes on a CPU, in place of the paper's settings."""
    plan: bool = False
    """Print how much memory and computation the run would take, and start nothing."""


def parse(demo: Settings, arguments: list[str], *, command: list[str]) -> tuple[Settings, Options]:
    """Reads a command line.

    Args:
        demo: The defaults under --demo.
        arguments: Of the command.
        command: What comes before them.
    Returns:
        The experiment's settings and the runner's options.
    Raises:
        ValueError: in one line, for an unknown flag or value.
        SystemExit: with 0, after --help.
    """
    with extra():
        import tyro

    kind: Callable[[], Settings] = type(demo)  # its fields have defaults, the paper's
    said = io.StringIO()

    def both(experiment, run):
        return experiment, run

    untold = tyro.conf.arg(help="")  # the description above the flags says it
    both.__annotations__ = {  # types made here, which no checker follows
        name: typing.Annotated[tyro.conf.OmitArgPrefixes[of], untold]  # type: ignore[misc, valid-type]
        for name, of in {"experiment": kind, "run": _Run}.items()
    }
    both.__defaults__ = demo if "--demo" in arguments else kind(), _Run()
    try:
        with contextlib.redirect_stderr(said), _names_of_data():
            settings, run = tyro.cli(
                both,
                args=arguments,
                prog=shlex.join(command),
                description=kind.__doc__,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as end:
        if end.code in (0, None):
            raise
        raise ValueError(_complaint(said.getvalue())) from None
    chosen = {field.name: getattr(run, field.name) for field in fields(Options)}
    if run.demo and run.preset:
        raise ValueError("--demo and --preset each choose all settings; give one of them")
    if run.demo and chosen["out"] is None:
        chosen["out"] = f"runs/{experiment_name(settings)}-demo"
    return settings, Options(**chosen)


def flags(arguments: list[str]) -> set[str]:
    """Names the settings that a command line gives.

    Examples:
        >>> sorted(flags(["--batch", "8", "--layer-decay=0.9", "--no-scan", "-h"]))
        ['batch', 'layer_decay', 'scan']
    """
    names = (one[2:].partition("=")[0].replace("-", "_") for one in arguments if one.startswith("--"))
    return {name.removeprefix("no_") for name in names}  # of --no-scan, scan


def _names_of_data():
    """On a command line, data that may be a `Source` and weights that may be `Loaded` are names."""
    import tyro

    registry = tyro.constructors.ConstructorRegistry()

    @registry.primitive_rule
    def name(info):
        if {Source, Loaded}.isdisjoint(typing.get_args(info.type)):
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="NAME",
            instance_from_str=lambda words: words[0],
            is_instance=lambda value: True,
            str_from_instance=lambda value: [
                str(value) if isinstance(value, str | type(None)) else "(arrays)"
            ],
        )

    return registry


def _complaint(box: str) -> str:
    """tyro's box as one sentence."""
    _, _, body = re.sub(r"[│╭╮╰╯]", " ", box).strip().partition("\n")  # the first line is a title
    sentences = [" ".join(part.split()) for part in re.split(r"^\s*[-─]{5,}.*$", body, flags=re.MULTILINE)]
    said = next(filter(None, sentences), "the command line cannot be read")
    said = re.sub(r"\. Got errors: .*", "", said)  # one for each type that a flag may have
    meant = re.search(r"Perhaps you meant: (--[\w-]+)", " ".join(sentences))
    return f"{said}{f'; did you mean {meant[1]}?' if meant else ''}; --help lists the flags".replace(
        ".;", ";"
    )


@contextlib.contextmanager
def one_line():
    """Ends the process with one line and exit code 2 where something inside the context is refused."""
    try:
        yield
    except REFUSALS as error:
        leave(REFUSED, error)


def once_said(hook: Callable) -> Callable:
    """Makes a `sys.unraisablehook` that hides tensorstore's messages about writes that are given up.

    When one part of a checkpoint cannot be written, the writes of the others are abandoned; the failure
    itself is reported in one line.
    """

    def filtered(unraisable):
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    return filtered


def unwritten(error: OSError, directory: object) -> OSError:
    """Adds to an operating system's error the run's directory, if it names none, and what to do.

    Args:
        error: What stopped a run.
        directory: Of the run.
    Returns:
        The error to show.
    """
    place = "" if error.filename else f"{directory}: "
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return OSError(f"{place}{error}" + ("; make room and run the same command again" if full else ""))


def leave(code: int, error: BaseException) -> None:
    """Ends the process with one line on stderr."""
    print(f"error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr, flush=True)
    sys.exit(code)


def invoked() -> list[str]:
    """Returns how this process was started, without arguments: jssl, python -m experiments.dino, or python
    script.py.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None:
        return ["python", "-m", spec.name.removesuffix(".__main__")]
    return ["jssl"] if Path(sys.argv[0]).stem == "jssl" else ["python", sys.argv[0]]
