"""Steps whose numbers are not finite: they end a run or are skipped, and leave no checkpoint."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import optim, run
from jssl.run import NonFinite
from jssl.run.plan import skipping, step_of
from jssl.train import TrainState
from tests.run import tiny
from tests.run.outcome import raw, rows

SETTINGS = dict(log_every=3, eval_every=4, checkpoint_every=4)


def test_a_loss_that_is_not_finite_stops_with_step_term_and_checkpoint(tmp_path):
    with pytest.raises(NonFinite, match=r"step 1: .* not finite; there is no checkpoint yet"):
        run(tiny.Tiny, out=str(tmp_path / "run"), infinite=True, **SETTINGS)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_steps_that_are_not_finite_are_skipped_so_many_times(tmp_path):
    """The broken image comes once an epoch of six steps, so twice in twelve."""
    broken = dict(SETTINGS, log_every=1, data="bare", broken=5)
    result = run(tiny.Tiny, out=str(tmp_path / "run"), skip_nonfinite=2, **broken)
    logged = {row["step"]: row for row in rows(tmp_path / "run")}
    skipped = [step for step, row in logged.items() if row["skipped"]]
    assert len(skipped) == 2 and all(logged[step]["loss"] is None for step in skipped)
    assert int(result.state.step) == 12 and all(
        np.all(np.isfinite(x)) for x in jax.tree.leaves(result.state.params)
    )
    with pytest.raises(NonFinite, match=rf"step {skipped[1]}: .*loss"):
        run(tiny.Tiny, out=str(tmp_path / "once"), skip_nonfinite=1, **broken)


def test_a_skipped_step_leaves_all_but_its_number():
    def step(state, batch):
        moved = jax.tree.map(lambda x: x + 1, state.replace(key=None)).replace(key=state.key)
        return moved, {"loss": batch}

    params, memory = {"w": jnp.ones(2)}, {"queue": jnp.ones(3)}
    state = TrainState(jnp.int32(3), params, params, memory, (jnp.zeros(2),), jax.random.key(0))
    after, metrics = skipping(step)(state, jnp.inf)
    assert raw(after) == raw(state.replace(step=jnp.int32(4))) and metrics["skipped"] == 1.0
    after, metrics = skipping(step)(state, 1.0)
    assert after.params["w"][0] == 2.0 and after.memory["queue"][0] == 2.0 and metrics["skipped"] == 0.0


def test_schedules_count_a_skipped_step_too():
    rate = optim.linear(0.0, 1.0, 10)
    optimizer = optim.low_rank(optim.adamw(rate, weight_decay=rate), 1, where=lambda path: True)
    params = {"encoder": {"kernel": jnp.ones((2, 2))}, "head": jnp.ones(2)}

    def step(state, batch):
        _, opt_state = optimizer.update(params, state.opt_state, params)
        return state.replace(step=state.step + 1, opt_state=opt_state), {"loss": batch}

    state = TrainState(jnp.int32(0), params, None, {}, optimizer.init(params), jax.random.key(0))
    for loss in (jnp.inf, 1.0, jnp.nan):
        state, _ = skipping(step)(state, loss)
    adam, decay, at_rate = state.opt_state.inner
    assert int(at_rate.count) == int(decay.inner_state.count) == int(state.step) == 3 and int(adam.count) == 1


def test_a_checkpoint_holds_finite_parameters_or_there_is_none(tmp_path, monkeypatch):
    def overflowing(plan):
        step = step_of(plan)

        def moved(state, batch):  # its loss is that of the parameters before, and finite
            state, metrics = step(state, batch)
            factor = jnp.where(state.step == 3, jnp.inf, 1.0)
            return state.replace(params=jax.tree.map(lambda x: x * factor, state.params)), metrics

        return moved

    monkeypatch.setattr("jssl.run.plan.step_of", overflowing)
    with pytest.raises(NonFinite, match="step 3: parameters not finite; the last good checkpoint is step 2"):
        run(tiny.Tiny, data="bare", steps=4, checkpoint_every=1, out=str(tmp_path / "run"))
