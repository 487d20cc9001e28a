"""The quoted runs of systems whose targets are no pixels: rates, weight decay, first weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jssl.experiments import CAE, CMAE, EVA, MSN, AttMask, BEiT, Data2Vec, MaskFeat, SdAE, SiT
from jssl.experiments.attmask import hint

from jssl import models
from jssl.run.settings.systems import module_of, named
from tests.faithful.quoted import KEY, TOKENS, built, decayed, half_cosine, per_epoch, rate, tree

RUNS = {  # first, highest and last rate, as the authors' commands have them
    "attmask": (AttMask(), 0, 5e-4 * 800 / 256, 1e-6),
    "attmask_hint": (hint, 0, 5e-4 * 240 / 256, 1e-6),
    "maskfeat": (MaskFeat(), 8e-6, 1.6e-3, 8e-6),
    "eva": (EVA(), 0, 1e-3, 1e-5),  # no warmup_lr reaches the schedules of these four
    "beit": (BEiT(), 0, 1.5e-3, 1e-5),
    "cae": (CAE(), 0, 1.5e-3, 1e-5),
    "data2vec": (Data2Vec(), 0, 2e-3, 1e-5),
    "sdae": (SdAE(), 0, 8e-4, 0),
    "cmae": (CMAE(), 2.4e-7, 2.4e-3, 0),
    "sit": (SiT(), 0, 5e-4, 1e-6),
    "msn": (MSN(), 2e-4, 1e-3, half_cosine(1e-3, 1e-6, (800 - 15) / (1000 - 15))),  # as of 1,000 epochs
}


@pytest.mark.parametrize("name", RUNS)
def test_rates(name):
    settings, first, peak, last = RUNS[name]
    assert rate(settings, 0) == pytest.approx(first, rel=0.01)
    assert rate(settings, settings.warmup) == pytest.approx(peak, rel=1e-3)
    assert rate(settings, settings.epochs) == pytest.approx(last, rel=0.01, abs=1e-9)


def given(name, monkeypatch):
    """What an experiment gives its method."""
    told, module = {}, module_of(name)
    method = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, **how: told.update(how) or method(*a, **how))
    built(named(name)())
    return told


def test_teachers_move_as_published(monkeypatch):
    names = ("sdae", "msn", "sit", "cmae", "data2vec")
    sdae, msn, sit, cmae, data2vec = (given(name, monkeypatch)["momentum"] for name in names)
    assert (cmae, data2vec) == (0.996, 0.9998)
    steps = per_epoch(SdAE())
    assert [float(sdae(step)) for step in (0, steps - 2, steps)] == [1, 1, 1]  # not within an epoch
    for epoch in (0, 150, 299):
        expected = half_cosine(0.96, 0.99, epoch / 300)
        assert float(sdae((epoch + 1) * steps - 1)) == pytest.approx(expected, rel=1e-5)
    for momentum, settings, last in ((msn, MSN(), 0.9992), (sit, SiT(), 1.0)):  # MSN's as of 1,000 epochs
        found = [float(momentum(epoch * per_epoch(settings))) for epoch in (0, 800)]
        assert found == pytest.approx([0.996, last], rel=1e-5)


def test_msns_prototypes_neither_decay_nor_count_in_the_clipped_gradient():
    scores = {"scores": {"kernel": jnp.ones((2, 3))}}
    found = decayed(MSN(steps=10), tree() | scores)
    assert found["encoder/dense/kernel"] and not found["scores/kernel"]
    optimizer = built(MSN(steps=100)).optimizer

    def second(slope):
        """The encoder's second update, where the prototypes' first gradient is so large."""
        params, state = tree() | scores, optimizer.init(tree() | scores)
        for size in (slope, 0.0):
            slopes = jax.tree.map(jnp.ones_like, tree()) | {"scores": {"kernel": jnp.full((2, 3), size)}}
            updates, state = optimizer.update(slopes, state, params)
        return updates["encoder"]

    jax.tree.map(np.testing.assert_array_equal, second(0.0), second(1e3))


RELATIVE = {"attention_bias": {"table": jnp.ones((3, 3, 2))}}
SPARED = {
    MaskFeat: (),
    CAE: (),
    BEiT: ("encoder/class_token",),
    EVA: ("encoder/class_token", "encoder/positions/table"),
}


@pytest.mark.parametrize("kind", SPARED)
def test_what_the_authors_let_decay(kind):
    extra = RELATIVE if kind is BEiT else {}
    for path, moves in decayed(kind(steps=10), tree(**TOKENS, **extra)).items():
        assert moves == (not path.endswith(("bias", "scale")) and path not in SPARED[kind]), path


def test_cmaes_norms_decay_in_the_contrasts_heads_alone():
    from jssl.experiments import CMAE

    norm = {"scale": jnp.ones(3), "bias": jnp.ones(3)}
    heads = {"projection": {"layers_1": norm}, "prediction": {"layers_1": norm}}
    found = decayed(CMAE(steps=10), tree() | heads)
    assert {path for path, moves in found.items() if moves} == {
        "encoder/dense/kernel",
        "projection/layers_1/scale",
        "prediction/layers_1/scale",
    }


def test_the_networks_are_the_authors():
    eva, beit, cae = (built(kind()).encoder for kind in (EVA, BEiT, CAE))
    assert (eva.dim, eva.depth, eva.heads, round(eva.dim * eva.mlp_ratio)) == (1408, 40, 16, 6144)
    assert eva.positions is not None and eva.layer_scale is None and eva.drop_path == 0.1
    assert beit.layer_scale == 0.1 and beit.drop_path == 0.1
    data2vec = built(Data2Vec()).encoder
    assert data2vec.layer_scale == 1e-4 and data2vec.drop_path == 0.25
    for network in (beit, data2vec):  # one table for all blocks, which begins at 0, in place of positions
        bias = network.attention_bias
        assert network.positions is None and bias.shared and not np.any(bias.table_init(KEY, (3, 3)))
    assert eva.qkv_bias == beit.qkv_bias == cae.qkv_bias == (True, False, True)
    drawn = eva.kernel_init(KEY, (400, 500), jnp.float32)
    assert float(jnp.abs(drawn).max()) <= 0.015 and eva.start is beit.start is models.depth_scaled
    assert cae.kernel_init is models.xavier and cae.layer_scale == 0.1
    rows = cae.positions((2, 3), 8)  # the first half tells the row
    np.testing.assert_array_equal(rows[0, :4], rows[2, :4])
    assert np.any(rows[0, :4] != rows[3, :4])


@pytest.mark.parametrize("name, deviation", [("beit", 0.02), ("eva", 0.015)])
def test_heads_and_positions_are_cut_at_one_deviation_as_the_rest(name, deviation, monkeypatch):
    heads = []
    module = module_of(name)
    method = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, **how: heads.append(how["head"]) or method(*a, **how))
    encoder = built(named(name)()).encoder
    kernel = heads[0](400).init(KEY, jnp.ones((1, 500)))["params"]["layers_0"]["kernel"]
    drawn = [kernel] if name == "beit" else [kernel, encoder.positions.table_init(KEY, (9, 99, 99))]
    for values in drawn:
        assert float(jnp.abs(values).max()) <= deviation
        assert float(values.std()) == pytest.approx(0.54 * deviation, rel=0.02)  # a normal's within one


COUNTED = {  # of 196 patches: those that an encoder sees, or those that a head tells
    "mae": ("tokens", 49),
    "sdae": ("tokens", 49),
    "cmae": ("tokens", 68),  # int(0.35 * 49) squares of four
    "cae": ("tokens", 98),
    "splitmask": ("tokens_rest", 98),
    "msn": ("tokens", 166),
    "beit": ("patch", 75),
    "data2vec": ("patch", 120),
}


@pytest.mark.parametrize("name", COUNTED)
def test_as_many_patches_are_seen_or_told_as_published(name):
    """By shapes alone, with a smaller encoder of the same patch."""
    output, count = COUNTED[name]
    method = built(named(name)(encoder="vit_ti16", scan=True)).method
    number = 2 if name in ("cmae", "msn") else 1
    views = {"global": jax.ShapeDtypeStruct((number, 64, 224, 224, 3), jnp.float32)}
    views["index"] = jax.ShapeDtypeStruct((64,), jnp.int32)

    def seen(views):
        params, memory = method.init(KEY, views)
        teacher = method.teacher and method.teacher.init(params)
        return method.outputs(params, teacher, memory, views, KEY).student[output]

    assert jax.eval_shape(seen, views).shape[2] == count


def test_maskfeats_blocks_and_histograms_are_the_configurations():
    method = built(MaskFeat()).method
    views = {"global": jnp.zeros((1, 1, 224, 224, 3)), "index": jnp.zeros(1, int)}
    params, memory = jax.eval_shape(method.init, KEY, views)
    seen = jax.eval_shape(method.outputs, params, None, memory, views, KEY)
    assert seen.student["patch"].shape == (1, 1, 78, 108) and seen.target["patch"].shape == (1, 1, 196, 108)
