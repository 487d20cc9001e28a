"""Runs an experiment from Python, in a script or a notebook."""

import difflib
import sys
from dataclasses import fields, replace

from jssl.extras import extra
from jssl.run.command import print_any_name
from jssl.run.footprint import check_room
from jssl.run.interrupt import listening
from jssl.run.plan import experiment_name, plan
from jssl.run.settings.experiment import Settings
from jssl.run.settings.options import Options
from jssl.run.settings.systems import named
from jssl.run.training import Run, carry_out


def start(experiment: Settings | type[Settings] | str, **settings) -> Run:
    """Runs an experiment from Python, as its command does: the same directory, resumed the same way.

    This is what `jssl.run(...)` calls. It prints what the command prints, and shows a bar in a notebook or a
    terminal; a cell that is interrupted says what is saved, and goes on when it is run again.

    Args:
        experiment: An experiment's settings, such as `jssl.experiments.Dino(data="digits")` or
            `experiments.dino.demo`, their class, or the name of a system.
        settings: Changes of the experiment's fields and of `Options`: data, steps, out, seed, dtype ...
    Returns:
        A `Run`.
    Raises:
        ValueError: as `plan`, and for settings that the experiment does not have.
        Interrupted: after a signal, the state saved.
        NonFinite: at a loss that is not finite.
    """
    if isinstance(experiment, str):
        experiment = named(experiment)
    options = {field.name: settings.pop(field.name) for field in fields(Options) if field.name in settings}
    known = [field.name for field in fields(experiment)]
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(known)}"
            raise ValueError(f"{experiment_name(experiment)} has no setting {name}{meant}")
    chosen = experiment(**settings) if isinstance(experiment, type) else replace(experiment, **settings)
    with listening() as interrupts:
        planned = plan(chosen, Options(**options), given={*settings, *_changed(chosen)})
        check_room(planned.needs, list(planned.mesh.devices.flat))
        with extra():
            from tqdm import tqdm

        print_any_name()
        say, seen = (print, True) if in_notebook() else (tqdm.write, sys.stderr.isatty())
        return carry_out(planned, interrupts, say=say, bar=seen)


def in_notebook() -> bool:
    """Tells whether this is a cell of a notebook, where only printed text is seen."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config


def _changed(settings: Settings) -> list[str]:
    """The fields that differ from their defaults."""
    return [f.name for f in fields(settings) if getattr(settings, f.name) is not f.default]
