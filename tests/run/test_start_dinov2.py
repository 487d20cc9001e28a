"""DINOv2 and DINOv3 go on from published files: with the source's features, and the formula's loss."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from jssl.experiments import DINOv2, DINOv2Distill, DINOv3

from jssl import init_state, weights
from jssl.arrays.programs import used_seldom
from jssl.data import from_arrays
from jssl.run.plan import plan
from jssl.run.settings.options import Options
from jssl.weights import Loaded
from tests.methods.test_dinov2_laws import formula
from tests.weights.files import case

SMALL = dict(batch=8, steps=4, warmup=0, epochs=4, views="crops", locals=1, local_size=None, koleo_group=4)
SMALL |= dict(
    prototypes=32, hidden=32, bottleneck=16, patch_prototypes=20, patch_hidden=32, patch_bottleneck=16
)
SYSTEMS = {  # published files and what goes on from them
    "dinov2_checkpoint": partial(DINOv2, size=28),
    "hf_dinov2_registers": partial(DINOv2, size=28, lora=2, frozen_blocks=1),
    "dinov3": partial(DINOv3, size=32, gram_weight=1.0),
}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_begins_with_the_sources_features_and_the_formulas_loss(name, images, tmp_path):
    folder, _ = case(name, tmp_path)
    settings = SYSTEMS[name](**SMALL, data=from_arrays(images), start=str(folder))
    planned = plan(settings, Options(out=str(tmp_path / "run")))
    e, start = planned.experiment, planned.start()
    batch = {"image": images[:8], "label": np.full(8, -1), "index": np.arange(8, dtype=np.int32)}
    state = init_state(
        e.method, e.optimizer, e.views, batch, key=jax.random.key(0), start=start and start.tree
    )

    source = weights.load(folder)
    seen = jax.jit(e.evaluation_view)(images[:8])
    expected = source.features(seen)
    own = jax.jit(e.method.features)(state.params, state.teacher, state.memory, seen)
    np.testing.assert_allclose(own.cls, expected.cls, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(own.tokens, expected.tokens, rtol=1e-5, atol=1e-6)

    views = used_seldom(e.views)(jax.random.key(1), batch)  # as `init_state` has compiled them
    loss, outputs = jax.jit(judged, static_argnums=0)(e.method, state, views)
    student, target = ({k: np.asarray(x, np.float64) for k, x in o.items()} for o in outputs[:2])
    wanted = formula(student, target, 0.04, 0.1, group=4, mask=np.asarray(outputs.mask))
    if "anchor" in target:
        wanted += gram(student["tokens"], target["anchor"])
        np.testing.assert_allclose(target["anchor"], target["tokens"], atol=1e-5)  # the first anchor
    assert float(loss) == pytest.approx(wanted, rel=2e-4)
    if name == "dinov2_checkpoint":
        assert "head image taken; head patch taken" in start.sentence
        head = start.tree["params"]["image"]["layers_6"]["kernel"]
        np.testing.assert_array_equal(state.params["image"]["layers_6"]["kernel"], head)


def judged(method, state, views):
    inputs = state.params, state.teacher, state.memory, views, jax.random.key(2)
    return method.loss(*inputs, 0)[0], method.outputs(*inputs)


def gram(student, anchor):
    s, t = (z / np.linalg.norm(z, axis=-1, keepdims=True) for z in (student[:2], anchor))
    return np.mean((s @ s.swapaxes(-1, -2) - t @ t.swapaxes(-1, -2)) ** 2)


def test_a_finish_in_high_resolution_goes_on_from_the_first_run(images, tmp_path):
    """Encoder and both heads are the first run's, as `weights.load` finds them in its directory, positions
    are of the larger grid, and the rate is a tenth."""
    settings = DINOv2(**SMALL, data=from_arrays(images), encoder="vit_n8", size=16)
    begun = plan(settings, Options(out=str(tmp_path / "first")))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), begun.state.params)
    heads = {name: (None, {"params": params[name]}) for name in ("image", "patch")}
    module, pixels = begun.experiment.encoder, begun.experiment.preprocess
    loaded = Loaded(module, {"params": params["encoder"]}, heads, pixels)
    planned = plan(replace(settings, start=loaded, size=32), Options(out=str(tmp_path / "second")))
    start = planned.start()
    assert "positions resized from 2 x 2 to 4 x 4; head image taken; head patch taken" in start.sentence
    assert "new here" not in start.sentence and "left over" not in start.sentence
    for head in ("image", "patch"):
        taken, held = start.tree["params"][head], loaded.heads[head][1]["params"]
        jax.tree.map(np.testing.assert_array_equal, taken, dict(held))
    resized = weights.resize(loaded, size=32).variables["params"]
    jax.tree.map(np.testing.assert_array_equal, start.tree["params"]["encoder"], dict(resized))
    state = planned.state
    assert state.params["encoder"]["positions"]["table"].shape[:2] == (4, 4)
    assert jax.tree.structure(state.params) == jax.tree.structure(start.tree["params"])
    assert planned.experiment.peak_rate == pytest.approx(0.1 * settings.peak_rate)


def test_a_checkpoint_with_heads_teaches(images, tmp_path):
    folder, _ = case("dinov2_checkpoint", tmp_path)
    settings = DINOv2Distill(
        **SMALL, data=from_arrays(images), encoder="vit_n7", size=28, teacher=str(folder), head_norm=False
    )
    planned = plan(settings, Options(out=str(tmp_path / "run")))
    frozen = planned.experiment.given["memory"]["statistics"]["teacher"]["frozen"]["params"]
    source = weights.load(folder)
    np.testing.assert_array_equal(
        frozen["encoder"]["norm"]["scale"], source.variables["params"]["norm"]["scale"]
    )
    assert set(frozen) == {"encoder", "image", "patch"}
    headless, _ = case("hf_dinov2_registers", tmp_path)
    with pytest.raises(
        ValueError, match="--teacher needs its head 'image', it has none; give a run of dinov2"
    ):
        plan(
            DINOv2Distill(
                **SMALL, data=from_arrays(images), encoder="vit_n7", size=28, teacher=str(headless)
            ),
            Options(out=str(tmp_path / "other")),
        )
