"""What makes SigLIP and FLIP themselves beside CLIP."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import methods, models
from jssl.evaluate.protocols.zero_shot import zero_shot_classify
from jssl.objectives import info_nce, sigmoid_pairwise, symmetric_info_nce
from tests.methods import toys
from tests.methods.test_multimodal_laws import Reader

VIT = models.ViT(patch=4, dim=16, depth=1, heads=2)
KEY = jax.random.key(0)


def pairs(number=4):
    images = jax.random.normal(jax.random.key(7), (1, number, 16, 16, 3))
    captions = jnp.arange(3 * number, dtype=jnp.int32).reshape(number, 3)
    return {"global": images, "caption": captions, "index": jnp.arange(number)}


def embeddings(seed, number=6):
    return jax.random.normal(jax.random.key(seed), (2, number, 8))


def loss_and_slopes(method, views):
    params, memory = jax.jit(method.init)(KEY, views)
    loss = lambda params: method.loss(params, None, memory, views, jax.random.key(3), 0)[0]  # noqa: E731
    return params, jax.jit(jax.value_and_grad(loss))(params)


def equal(a, b):
    return all(np.array_equal(*leaves) for leaves in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_flip_that_hides_nothing_is_clip_bit_for_bit():
    _, clip = loss_and_slopes(methods.clip(VIT, Reader(), dim=8), pairs())
    _, whole = loss_and_slopes(methods.flip(VIT, Reader(), ratio=0.0, dim=8), pairs())
    assert equal(clip, whole)


@pytest.mark.parametrize("name", ["clip", "flip"])
def test_a_block_size_reaches_the_loss(name):
    views = pairs(number=12)

    def program(**settings):
        method = getattr(methods, name)(VIT, Reader(), dim=8, **settings)
        params, memory = jax.eval_shape(method.init, KEY, views)
        loss = lambda params, memory: method.loss(params, None, memory, views, KEY, 0)[0]  # noqa: E731
        return str(jax.make_jaxpr(loss)(params, memory))

    assert "f32[12,12]" in program() and "f32[12,12]" not in program(block_size=4)


def test_flip_has_clips_parameters_and_its_features_never_miss_a_patch():
    views, made = pairs(), {name: getattr(methods, name)(VIT, Reader(), dim=8) for name in ("clip", "flip")}
    states = {name: method.init(KEY, views) for name, method in made.items()}
    assert equal(states["clip"], states["flip"])  # no decoder, no mask token
    features = [
        made[name].features(params, None, memory, views["global"][0])
        for name, (params, memory) in states.items()
    ]
    losses = [
        float(made[name].loss(params, None, memory, views, KEY, 0)[0])
        for name, (params, memory) in states.items()
    ]
    assert losses[0] != losses[1] and equal(*features) and features[1].tokens.shape == (4, 16, 16)


@pytest.mark.parametrize("ratio", [0.5, 0.75])
def test_flip_computes_with_the_patches_that_it_shows(ratio):
    views, counts = pairs(), {}
    for name, method in {
        "clip": methods.clip(VIT, Reader(), dim=8),
        "flip": methods.flip(VIT, Reader(), ratio=ratio, dim=8),
    }.items():
        params, memory = jax.eval_shape(method.init, KEY, views)

        def loss(params, memory, views, method=method):
            return method.loss(params, None, memory, views, KEY, 0)[0]

        lowered = jax.jit(jax.grad(loss)).lower(params, memory, views)
        counts[name] = lowered.cost_analysis()["flops"], lowered.as_text()
    shown = 1 + int(16 * (1 - ratio))
    assert f"tensor<4x{shown}x16xf32>" in counts["flip"][1] and "tensor<4x17x16xf32>" not in counts["flip"][1]
    assert "tensor<4x17x16xf32>" in counts["clip"][1]
    assert counts["flip"][0] < (1.15 - ratio) * counts["clip"][0]  # the head, the text and the loss stay


def test_permuting_a_batch_permutes_what_flip_shows():
    method, views, order = methods.flip(VIT, Reader(), dim=8), pairs(), jnp.array([2, 0, 3, 1])
    params, memory = jax.jit(method.init)(KEY, views)
    mixed = {name: x[:, order] if name == "global" else x[order] for name, x in views.items()}
    seen, moved = (
        method.outputs(params, None, memory, batch, KEY).student["image"] for batch in (views, mixed)
    )
    np.testing.assert_allclose(seen[order], moved, atol=1e-5)
    with pytest.raises(TypeError, match="flip hides patches"):
        methods.flip(toys.Mlp(), Reader())


def test_the_mean_of_all_tokens_has_the_class_token_in_it():
    module = VIT.clone(readout=models.read_mean_of_all)
    images = pairs()["global"][0]
    variables = jax.jit(module.init)(KEY, images)
    found, plain = module.apply(variables, images), VIT.apply(variables, images)
    whole = jnp.concatenate([plain.cls[:, None], plain.tokens], axis=1)
    np.testing.assert_allclose(found.cls, whole.mean(1), atol=1e-6)
    np.testing.assert_allclose(found.tokens, plain.tokens, atol=1e-6)


def test_siglips_loss_is_the_sum_over_blocks_of_pairs_and_clips_is_not():
    a, b = embeddings(0)
    learned = dict(logit_scale=5.0, logit_bias=-2.0)
    signs = 2 * np.eye(6) - 1
    unit = [np.asarray(x / jnp.linalg.norm(x, axis=1, keepdims=True)) for x in (a, b)]
    questions = np.log1p(np.exp(-signs * (5 * unit[0] @ unit[1].T - 2)))
    np.testing.assert_allclose(sigmoid_pairwise(a, b, **learned), questions.sum(1), rtol=1e-5)
    halves = [sigmoid_pairwise(a[half], b[half], **learned) for half in (slice(3), slice(3, 6))]
    across = [questions[:3, 3:].sum(1), questions[3:, :3].sum(1)]
    added = np.concatenate([h + rest for h, rest in zip(halves, across, strict=True)])
    np.testing.assert_allclose(sigmoid_pairwise(a, b, **learned), added, rtol=1e-5)
    whole = symmetric_info_nce(a, b, logit_scale=5.0)
    alone = np.concatenate([symmetric_info_nce(a[s], b[s], logit_scale=5.0) for s in (slice(3), slice(3, 6))])
    assert np.all(np.asarray(whole) > alone)  # what a pair is compared with changes its own term


def test_a_pair_that_is_orthogonal_to_all_adds_the_bias_alone():
    a, b = jnp.eye(4, 6)[:3], jnp.eye(4, 6)[:3] + 0.1 * jnp.eye(4, 6)[1:]
    more = [jnp.concatenate([x, jnp.eye(6)[5:]]) for x in (a, b)]
    learned = dict(logit_scale=3.0, logit_bias=-1.5)
    added = sigmoid_pairwise(*more, **learned)[:3] - sigmoid_pairwise(a, b, **learned)
    np.testing.assert_allclose(added, np.log1p(np.exp(-1.5)), rtol=1e-5)


def test_siglip_begins_with_its_bias_and_its_factor_has_no_bound():
    views = pairs()
    method = methods.siglip(VIT, Reader(), dim=16)
    params, memory = jax.jit(method.init)(KEY, views)
    value, (_, metrics) = method.loss(params, None, memory, views, KEY, 0)
    assert float(metrics["logit_scale"]) == pytest.approx(10) and float(metrics["logit_bias"]) == -10
    seen = method.outputs(params, None, memory, views, KEY).student
    unit = [
        np.asarray(seen[x] / jnp.linalg.norm(seen[x], axis=1, keepdims=True)) for x in ("image", "caption")
    ]
    doubts = np.log1p(np.exp(-(2 * np.eye(4) - 1) * (10 * unit[0] @ unit[1].T - 10)))
    assert float(value) == pytest.approx(doubts.sum() / 4, rel=1e-4)
    assert np.trace(doubts) > 10 * (
        doubts.sum() - np.trace(doubts)
    )  # at first the matching pairs' terms count
    for initial, maximum, wanted in ((1000.0, math.inf, 1000.0), (1000.0, 100.0, 100.0)):
        scale = models.LogitScale(initial, maximum)
        held = scale.init(KEY)
        slope = jax.grad(lambda held, scale=scale: -scale.apply(held))(held)["params"]["log_scale"]
        assert float(scale.apply(held)) == pytest.approx(wanted, rel=1e-4)
        assert (float(slope) == 0) == (maximum < initial)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_clips_factor_ends_at_100_and_siglips_does_not(name):
    """Of pairs that a larger factor would tell apart better: at e^10 CLIP's loss is that at 100, and no
    gradient raises the factor further."""
    rows = jnp.ones((3, 3)) + 0.1 * jnp.eye(3)
    views = {"global": rows[None, ..., None, None], "caption": rows, "index": jnp.arange(3)}
    method = getattr(methods, name)(toys.identity(), toys.identity(), dim=3)
    params, memory = jax.jit(method.init)(KEY, views)
    params = jax.tree_util.tree_map_with_path(
        lambda path, x: jnp.eye(3) if path[-1].key == "kernel" else x, params
    )

    def judged(log_scale):
        held = params | {"logit_scale": {"log_scale": log_scale}}
        loss, (_, metrics) = method.loss(held, None, memory, views, KEY, 0)
        return loss, metrics["logit_scale"]

    beyond, at_100, at_50 = jnp.array(10.0), jnp.log(100.0), jnp.log(50.0)
    (far, scale), slope = jax.value_and_grad(judged, has_aux=True)(beyond)
    bound, below = judged(at_100)[0], jax.grad(judged, has_aux=True)(at_50)[0]
    if name == "clip":
        assert float(scale) == pytest.approx(100) and float(far) == pytest.approx(float(bound), rel=1e-5)
        assert slope == 0 > below
    else:
        assert float(scale) == pytest.approx(math.exp(10)) and float(far) > 10 * float(bound) and slope > 0


def test_clip_knows_pairs_by_their_places_alone_and_neither_tower_comes_first():
    a, b = embeddings(1)
    order = jnp.array([2, 0, 5, 1, 4, 3])
    clip = lambda a, b: float(jnp.mean(symmetric_info_nce(a, b, logit_scale=5.0)))  # noqa: E731
    assert clip(a[order], b[order]) == pytest.approx(clip(a, b), rel=1e-6)
    assert clip(a[order], b) != pytest.approx(clip(a, b), rel=1e-2)
    assert clip(b, a) == pytest.approx(clip(a, b), rel=1e-6)
    one_way = [float(jnp.mean(info_nce(*pair, temperature=0.2))) for pair in ((a, b), (b, a))]
    assert one_way[0] != pytest.approx(one_way[1], rel=1e-3)  # MoCo's direction has an order


def test_templates_are_averaged_as_directions():
    """One repeated is itself; the mean of two is no mean of their probabilities."""
    images, prompts = jax.random.normal(KEY, (5, 8)), jax.random.normal(jax.random.key(1), (3, 2, 8))
    alone = [zero_shot_classify(images, prompts[:, [i]]) for i in (0, 1)]
    repeated = zero_shot_classify(images, jnp.repeat(prompts[:, :1], 4, axis=1))
    np.testing.assert_allclose(repeated, alone[0], atol=1e-6)
    both = jax.nn.softmax(20 * zero_shot_classify(images, prompts))
    mean = (jax.nn.softmax(20 * alone[0]) + jax.nn.softmax(20 * alone[1])) / 2
    assert np.abs(both - mean).max() > 1e-2
