from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jssl.models import (
    Head,
    Prototypes,
    WeightNormDense,
    barlow_head,
    byol_head,
    clip_head,
    dino_head,
    l2_normalize,
    linear_head,
    moco_head,
    moco_v3_head,
    simclr_head,
    simsiam_head,
    simsiam_predictor,
    swav_head,
    vicreg_head,
)

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (4, 12))

HEADS = {
    "simclr": (simclr_head(8, hidden=16), "dense norm act dense norm"),
    "simclr v2": (simclr_head(8, hidden=16, layers=3), "dense norm act dense norm act dense norm"),
    "moco v1": (moco_head(8, hidden=None), "dense+"),
    "moco v2": (moco_head(8, hidden=16), "dense+ act dense+"),
    "moco v3": (moco_v3_head(8, hidden=16), "dense norm act dense norm act dense plain"),
    "byol": (byol_head(8, hidden=16), "dense+ norm act dense"),
    "simsiam": (simsiam_head(8, hidden=16), "dense norm act dense norm act dense+ plain"),
    "simsiam predictor": (simsiam_predictor(8, hidden=16), "dense norm act dense+"),
    "barlow": (barlow_head(8, hidden=16), "dense norm act dense norm act dense"),
    "vicreg": (vicreg_head(8, hidden=16), "dense+ norm act dense+ norm act dense"),
    "swav": (swav_head(8, hidden=16), "dense+ norm act dense+"),
    "linear": (linear_head(8), "dense+"),
    "clip": (clip_head(8), "dense"),
}


def kinds(variables, layers):
    """What each layer is, from its parameters: dense, with a bias dense+, norm, without parameters plain,
    act.
    """
    for i in range(layers):
        params, name = variables["params"].get(f"layers_{i}"), f"layers_{i}"
        if params is None:
            yield "plain" if name in variables.get("batch_stats", {}) else "act"
        else:
            yield ("dense+" if "bias" in params else "dense") if "kernel" in params else "norm"


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_the_papers_layers(name):
    head, want = HEADS[name]
    variables = jax.eval_shape(head.init, KEY, X)
    assert " ".join(kinds(variables, len(head.layers))) == want
    out = jax.eval_shape(lambda v, x: head.apply(v, x, train=True, mutable=["batch_stats"])[0], variables, X)
    assert out.shape == (4, 8)


def test_batch_norm_follows_train():
    head = Head([nn.BatchNorm(momentum=0.9)])
    variables = head.init(KEY, X)
    trained, _ = head.apply(variables, X, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(trained.std(0), 1.0, atol=1e-3)
    np.testing.assert_allclose(head.apply(variables, X), X, rtol=1e-4)


def test_dino_head_gives_the_authors_numbers():
    """facebookresearch/dino, DINOHead with norm_last_layer: its outputs, and its gradient of a weighted
    sum.
    """
    case = np.load(Path(__file__).parent / "reference" / "dino_head.npz")
    head = dino_head(10, hidden=8, bottleneck=5)
    params = {f"layers_{2 * i}": {"kernel": case[f"in_w{i}"].T, "bias": case[f"in_b{i}"]} for i in range(3)}
    params = jax.tree.map(jnp.float32, params | {"layers_6": {"kernel": case["in_last_v"].T}})
    out, vjp = jax.vjp(lambda x: head.apply({"params": params}, x), jnp.float32(case["in_x"]))
    np.testing.assert_allclose(out, case["out_y"], atol=2e-6)
    (grad,) = vjp(jnp.linspace(-1.0, 1.0, out.size).reshape(out.shape))
    np.testing.assert_allclose(grad, case["grad_x_of_weighted_sum"], atol=2e-5)


def test_dino_head_by_hand():
    head = dino_head(3, hidden=2, bottleneck=2, layers=2)
    params = {
        "layers_0": {"kernel": jnp.array([[1.0, 0.0], [0.0, 1.0]]), "bias": jnp.array([0.0, 1.0])},
        "layers_2": {"kernel": jnp.array([[1.0, 0.0], [0.0, 2.0]]), "bias": jnp.array([0.0, 0.0])},
        "layers_4": {"kernel": jnp.array([[3.0, 0.0, 1.0], [4.0, 2.0, -1.0]])},
    }
    got = head.apply({"params": params}, jnp.array([[1.0, -2.0]]))
    # exact gelu(1) = 0.8413447, gelu(-1) = -0.1586553; then (0.8413447, -0.3173105), of length 0.8991933
    unit = np.array([0.8413447, -0.3173105]) / np.hypot(0.8413447, 0.3173105)
    want = [0.6 * unit[0] + 0.8 * unit[1], unit[1], (unit[0] - unit[1]) / np.sqrt(2)]
    np.testing.assert_allclose(got[0], want, rtol=1e-5)


def test_weight_normalised_rows_ignore_the_size_of_the_weight():
    layer = WeightNormDense(5)
    variables = layer.init(KEY, X)
    larger = jax.tree.map(lambda w: 7 * w, variables)
    np.testing.assert_allclose(layer.apply(larger, X), layer.apply(variables, X), rtol=1e-5)
    learned = WeightNormDense(5, scale_init=nn.initializers.constant(2.0))
    scaled = {"params": variables["params"] | {"scale": jnp.full(5, 2.0)}}
    np.testing.assert_allclose(learned.apply(scaled, X), 2 * layer.apply(variables, X), rtol=1e-5)


def test_prototypes_score_cosines():
    layer = Prototypes(5)
    variables = layer.init(KEY, X)
    scores = layer.apply(variables, X)
    kernel = variables["params"]["kernel"]
    want = (X @ kernel) / jnp.linalg.norm(X, axis=1)[:, None] / jnp.linalg.norm(kernel, axis=0)
    np.testing.assert_allclose(scores, want, rtol=1e-4)
    np.testing.assert_allclose(layer.apply(variables, 3 * X), scores, rtol=1e-5)


def test_normalising_zero_is_finite():
    value, grad = jax.value_and_grad(lambda x: l2_normalize(x).sum())(jnp.zeros(3))
    assert value == 0 and jnp.isfinite(grad).all()
    assert l2_normalize(X.astype(jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("head", [dino_head(8, hidden=16, bottleneck=4), Head([Prototypes(8)])])
def test_logits_of_prototypes_are_float32_under_bfloat16_with_any_leading_axes(head):
    """Sums of float32, not sums rounded to bfloat16: 1 + 2^-8 is no number of bfloat16."""
    variables = head.init(KEY, X)
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), variables)
    out = head.apply(half, jnp.stack([X, X]).astype(jnp.bfloat16))
    assert out.shape == (2, *X.shape[:-1], 8) and out.dtype == jnp.float32
    assert np.mean(np.asarray(out) != np.asarray(out.astype(jnp.bfloat16))) > 0.5
    np.testing.assert_allclose(out[0], head.apply(variables, X), atol=0.05)
