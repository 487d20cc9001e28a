"""The command line of an experiment, made of its function's signature."""

import contextlib
import dataclasses
import inspect
import io
import logging
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import jax

from jssl.run.experiment import Experiment
from jssl.run.interrupt import Interrupted
from jssl.run.plan import DTYPES, Options, experiment_name, plan
from jssl.run.run import carry_out
from jssl.run.watch import NonFinite
from jssl.sharding import join_processes

REFUSED, BROKEN = 2, 1  # exit codes: nothing was started; training cannot go on


def main(make: Callable[..., Experiment], demo: Mapping[str, Any]) -> None:
    """Reads the command line, runs the experiment, and exits.

    make: the experiment's function; its typed keyword-only arguments are the flags, its docstring their help.
    demo: other defaults, under --demo.

    What cannot be run costs one line on stderr and exit code 2, before anything is compiled or written. A signal saves,
    prints the command that resumes, and exits with 0.
    """
    try:
        settings, options = parse(make, demo, sys.argv[1:])
        join_processes(options.coordinator, processes=options.processes, process=options.process)
        planned = plan(make, settings, options, name=experiment_name(make))
    except (ValueError, OSError, ImportError) as error:
        _exit(REFUSED, f"error: {_one_line(error)}")
    from tqdm import tqdm

    keep_compiled()
    logging.getLogger("absl").setLevel(
        logging.CRITICAL
    )  # Orbax's; what goes wrong there is said in one line below
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        carry_out(planned, say=tqdm.write)
    except Interrupted as stop:
        where = "before the first step" if stop.step is None else f"at step {stop.step}, saved"
        print(f"interrupted {where}; resume with: {_command()}", flush=True)
        sys.exit(0)
    except (NonFinite, OSError) as broken:
        _exit(BROKEN, f"error: {_one_line(broken)}")


def keep_compiled() -> None:
    """Keeps compiled programs in the user's cache directory, for the next run, unless JAX was told where or not to."""
    if jax.config.jax_enable_compilation_cache and jax.config.jax_compilation_cache_dir is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "jssl" / "xla"))


def parse(make: Callable, demo: Mapping[str, Any], arguments: list[str]) -> tuple[dict[str, Any], Options]:
    """The experiment's settings and the runner's options of a command line.

    Raises: ValueError in one line for an unknown flag or value. SystemExit(0) after --help.
    """
    import tyro

    defaults = dict(demo) if "--demo" in arguments else {}
    hints, texts = get_type_hints(make), _described(make.__doc__ or "")
    flags = [
        (name, _flag(hints.get(name, str), texts.get(name, "")), defaults.pop(name, p.default))
        for name, p in inspect.signature(make).parameters.items()
    ]
    texts, hints = _described(Options.__doc__), get_type_hints(Options) | {"dtype": Literal[tuple(DTYPES)]}
    common = [
        (name, _flag(hints[name], texts[name]), defaults.pop(name, default))
        for name, default in Options._field_defaults.items()
    ]
    common.append(("demo", _flag(bool, "small data and a small network, for a few minutes on a CPU"), False))
    if defaults:
        raise ValueError(
            f"the demo of {make.__name__} sets {', '.join(defaults)}, which the experiment does not have"
        )
    experiment = dataclasses.make_dataclass("experiment", flags)
    runner = dataclasses.make_dataclass("run", common)

    def command(experiment: tyro.conf.OmitArgPrefixes[experiment], run: tyro.conf.OmitArgPrefixes[runner]):
        return experiment, run

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed, run = tyro.cli(
                command,
                args=arguments,
                prog=f"python -m {_module()}",
                description=inspect.getdoc(inspect.getmodule(make)) or make.__doc__,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as end:
        if end.code in (0, None):
            raise
        raise ValueError(_complaint(said.getvalue())) from None
    chosen = {
        field.name: getattr(run, field.name) for field in dataclasses.fields(run) if field.name != "demo"
    }
    if run.demo and chosen["out"] is None:
        chosen["out"] = f"runs/{experiment_name(make)}-demo"
    return {field.name: getattr(parsed, field.name) for field in dataclasses.fields(parsed)}, Options(
        **chosen
    )


def _flag(hint, text: str):
    import tyro

    return Annotated[hint, tyro.conf.arg(help=text)]


def _described(doc: str) -> dict[str, str]:
    """What a docstring says of each argument: "name: text" or "name, other: text", continued on deeper lines."""
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(doc).splitlines():
        if match := re.match(r"(\w+(?:, \w+)*):\s+(.*)", line):
            names = match[1].split(", ")
            texts |= dict.fromkeys(names, match[2])
        elif line.startswith("    ") and names:
            texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
        else:
            names = []
    return texts


def _complaint(box: str) -> str:
    """tyro's box as one sentence."""
    _, _, body = re.sub(r"[│╭╮╰╯]", " ", box).strip().partition("\n")  # the first line is a title
    sentences = [" ".join(part.split()) for part in re.split(r"^\s*[-─]{5,}.*$", body, flags=re.MULTILINE)]
    said = next(filter(None, sentences), "the command line cannot be read")
    meant = re.search(r"Perhaps you meant: (--[\w-]+)", " ".join(sentences))
    return f"{said}{f'; did you mean {meant[1]}?' if meant else ''}; --help lists the flags".replace(
        ".;", ";"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _exit(code: int, line: str) -> None:
    print(line, file=sys.stderr, flush=True)
    sys.exit(code)


def _module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else sys.argv[0]


def _command() -> str:
    return shlex.join(["python", *(["-m"] if _module() != sys.argv[0] else []), _module(), *sys.argv[1:]])
