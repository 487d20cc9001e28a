"""Watching a run: what a log brings onto the devices and reads from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.run import NonFinite, Options
from jssl.run.evaluation.probing import health_of
from jssl.run.interrupt import listening
from jssl.run.plan import plan
from jssl.run.watch import QUEUED, Log, Pace
from jssl.sharding import replicated
from tests.run import tiny


class Lines:
    """A record that keeps what it is told."""

    def __init__(self):
        self.rows = {}

    def write(self, step, values):
        self.rows[step] = dict(values)


def logging(record):
    rates = {"learning_rate": lambda step: step / 10}
    return Log(record, batch=8, rates=rates, waited=lambda: 0.0)


def test_a_log_moves_no_images_and_is_read_at_once(tmp_path, monkeypatch):
    """Once everything is compiled, nothing goes to a device unasked, and one call fetches a line."""
    planned = plan(tiny.Tiny(data="bare"), Options(out=str(tmp_path / "run")))
    experiment, train = planned.experiment, planned.data.train
    batch = {"image": np.asarray(train.images[:8]), "index": np.arange(8, dtype=np.int32)}
    state = jax.device_put(planned.init(batch), planned.places)
    health = health_of(experiment, planned.data.source, train, place=replicated(planned.mesh))
    record, fetched, fetch = Lines(), [], jax.device_get
    log = logging(record)
    log(1, state, health(state))
    monkeypatch.setattr(jax, "device_get", lambda tree: fetched.append(tree) or fetch(tree))
    with jax.transfer_guard("disallow"):
        for step in (2, 3):
            log(step, state, health(state))
    assert len(fetched) == 2 and list(record.rows) == [1, 2]
    assert record.rows[2].keys() >= {"learning_rate", "images_per_second"}
    assert record.rows[2]["learning_rate"] == pytest.approx(0.1)  # that of the step before


def test_the_guard_sees_an_image_that_is_not_on_the_device():
    with jax.transfer_guard("disallow"), pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        jax.jit(jnp.sum)(np.ones(4, np.float32))


class Figure:
    """A metric on a device: counts how often it is waited for and read."""

    def __init__(self, value):
        self.value, self.waited, self.read = value, 0, 0

    def block_until_ready(self):
        self.waited += 1
        return self

    def __array__(self, *_, **__):
        self.read += 1
        return np.float32(self.value)


def paced(values, *, every, skips=0):
    """Takes steps with these losses, and gives their figures, steps counted from 1."""
    log, figures = logging(Lines()), [Figure(value) for value in values]
    log.restart_clock(0)
    with listening() as interrupts:
        pace = Pace(interrupts, log, lambda step: None, every=every, skips=skips)
        for step, figure in enumerate(figures, 1):
            pace(step, None, {"loss": figure})
            yield pace, figures


def test_steps_are_waited_for_and_read_once_a_log():
    for step, (_, figures) in enumerate(paced([1.0] * 8, every=4), 1):
        assert sum(figure.waited for figure in figures) == max(0, step - QUEUED)
        assert sum(figure.read for figure in figures) == max(0, step // 4 * 4 - QUEUED)
    assert all(figure.waited <= 1 and figure.read <= 1 for figure in figures)


def test_the_first_step_that_is_not_finite_is_named_though_it_is_read_later():
    steps = 0
    with pytest.raises(NonFinite, match="step 2: loss not finite"):
        for _ in paced([1.0, np.nan, np.inf, 1.0, 1.0, 1.0], every=4):
            steps += 1
    assert steps == 3


def test_every_step_that_is_skipped_is_counted():
    *_, (pace, _) = paced([1.0, np.nan, 1.0, np.nan], every=4, skips=2)
    pace.check()
    *_, (pace, _) = paced([1.0, np.nan, 1.0, np.nan], every=4, skips=1)
    with pytest.raises(NonFinite, match="step 4: loss not finite"):
        pace.check()
