"""Between epochs all training images are looked at, in evaluation mode, wherever they are kept."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jssl.experiments import pcl

from jssl.methods.base import Refresh
from jssl.run.before import Shorter
from jssl.run.data import gather as gathering
from jssl.run.plan import plan
from jssl.run.refreshing import all_images, caught_up, refreshes
from jssl.run.settings.options import Options
from jssl.sharding import make_mesh
from jssl.train import TrainState, fit
from tests.run import streamed, tiny


@pytest.mark.parametrize("on_disk", [True, False])
def test_all_images_are_read_in_order_each_with_its_number(on_disk, tmp_path, monkeypatch):
    name = streamed.write(tmp_path)
    if on_disk:
        (tmp_path / "07.png").write_bytes(b"damaged")
        monkeypatch.setattr(gathering, "fits_in_memory", streamed.nothing_fits)
    data = gathering.gather(name)
    assert (data.records is not None) == on_disk
    batches = list(all_images(data, make_mesh("data=1"), at_once=20))
    assert [len(batch["index"]) for batch in batches] == [20, 20, 20]
    index = np.concatenate([batch["index"] for batch in batches])
    wanted = set(range(48)) - ({7} if on_disk else set())
    assert set(index.tolist()) == wanted
    images, sizes = tiny.colored().images, {tuple(size) for b in batches for size in b["image_size"].tolist()}
    assert sizes == {(8, 8)}
    seen = np.concatenate([batch["image"] for batch in batches])[:, :8, :8]
    np.testing.assert_array_equal(seen, images[index])


def test_before_clustering_the_bank_holds_what_the_momentum_encoder_makes_of_all_images(tmp_path):
    settings = replace(
        pcl.demo,
        data=tiny.colored(count=40),
        encoder="resnet10x0.125_cifar",
        size=8,
        batch=8,
        steps=12,
        clusters=(3,),
        queue=16,
        hidden=8,
        dim=4,
    )
    planned = plan(settings, Options(out=str(tmp_path)))
    method, source = planned.experiment.method, planned.data.train
    batch = {name: jnp.asarray(values[:8]) for name, values in source.arrays.items()} | {
        "index": jnp.arange(8)
    }
    state = jax.jit(planned.init)(batch)
    bank = np.asarray(state.memory["objective"]["prototype"]["bank"])
    (event,) = refreshes(planned)
    assert event.every == len(source) // 8 and event.call(1, state, {}) is None
    view = planned.experiment.evaluation_view
    whole = method.refresh.observe(
        state.params, state.teacher, state.memory, view(jnp.asarray(source.images)), jnp.arange(len(source))
    )
    expected = np.asarray(whole["objective"]["prototype"]["bank"])
    after = event.call(event.every, state, {}).memory["objective"]["prototype"]
    assert not np.allclose(bank, expected, atol=1e-2)
    np.testing.assert_allclose(after["bank"], expected, rtol=1e-4, atol=1e-5)
    assert (
        bool(after["clustered"]) and len(set(np.asarray(after["clusterings"][0]["assignment"]).tolist())) == 3
    )
    late = replace(settings, first_clusters=2 * settings.epochs)
    assert refreshes(plan(late, Options(out=str(tmp_path / "late"))))[0].call(event.every, state, {}) is None


@pytest.mark.parametrize("before", [2, 4, 5])
def test_an_extended_run_makes_up_for_what_its_last_step_left_out(before):
    def planned(steps, extends=None):
        method = SimpleNamespace(refresh=Refresh(2, lambda key, memory: memory + 1))
        experiment = SimpleNamespace(method=method, steps=steps, evaluation_view=None)
        places = SimpleNamespace(memory=None)
        return SimpleNamespace(experiment=experiment, places=places, data=None, extends=extends)

    def trained(plan, state):
        def advance(state, step, n):
            return state.replace(step=state.step + n), {}

        return fit(advance, state, steps=plan.experiment.steps, events=refreshes(plan))

    first = TrainState(jnp.zeros((), int), None, None, jnp.zeros((), int), None, jax.random.key(0))
    whole = trained(planned(8), first.replace(memory=jnp.zeros((), int)))
    short = trained(planned(before), first)
    longer = planned(8, Shorter(before, None))
    assert int(trained(longer, caught_up(longer, short)).memory) == int(whole.memory) == 3
