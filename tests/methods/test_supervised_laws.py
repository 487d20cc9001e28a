"""Learning from labels: the loss by hand, images without labels, mixed targets."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import init_state, methods
from jssl.data import from_arrays, subset
from jssl.data.splits import balanced
from jssl.data.views import mixed
from jssl.methods.labels import class_logits
from jssl.models import ViT, linear_head

VIT = ViT(patch=4, dim=16, depth=1, heads=2)
HEAD = linear_head(3)


def seen(labels):
    images = np.random.default_rng(0).normal(size=(1, len(labels), 8, 8, 3)).astype(np.float32)
    return {"global": jnp.asarray(images), "label": jnp.array(labels), "index": jnp.arange(len(labels))}


def loss_of(method, views):
    state = init_state(method, optax.sgd(0.1), lambda key, batch: batch, views, key=jax.random.key(0))
    loss, (_, metrics) = method.loss(state.params, None, state.memory, views, jax.random.key(1), 0)
    logits = class_logits(method, state.params, None, state.memory, views["global"][0], head=HEAD)
    return float(loss), metrics, np.asarray(jax.nn.log_softmax(logits))


def test_the_loss_is_the_cross_entropy_with_smoothed_labels():
    method, labels = methods.supervised(VIT, 3, head=HEAD, smoothing=0.3), np.array([0, 2, 1, 1])
    loss, metrics, log = loss_of(method, seen(labels))
    by_hand = -(0.7 * log[range(4), labels] + 0.1 * log.sum(-1)).mean()
    assert loss == pytest.approx(by_hand, rel=1e-5)
    assert float(metrics["accuracy"]) == pytest.approx((log.argmax(-1) == labels).mean())


def test_images_without_a_label_have_no_loss():
    method, labels = methods.supervised(VIT, 3, head=HEAD), np.array([0, -1, 1, -1])
    loss, _, log = loss_of(method, seen(labels))
    assert loss == pytest.approx(-(log[0, 0] + log[2, 1]) / 2, rel=1e-5)
    with pytest.raises(ValueError, match="needs views"):
        loss_of(method, {name: value for name, value in seen(labels).items() if name != "label"})


def test_targets_are_mixed_as_the_images_are():
    views = mixed(lambda key, batch: batch, 3, mixup=1.0, cutmix=0.0, smoothing=0.0)
    batch = seen([0, 1, 2, 1])
    result = views(jax.random.key(0), batch)
    weight = result["target"][jnp.arange(4), batch["label"]]
    np.testing.assert_allclose(result["target"].sum(-1), 1.0, rtol=1e-6)
    images, neighbours = batch["global"][0], jnp.roll(batch["global"][0], 1, 0)
    w = weight[:, None, None, None]
    np.testing.assert_allclose(result["global"][0], w * images + (1 - w) * neighbours, atol=1e-5)
    plain = mixed(lambda key, batch: batch, 3, mixup=0.0, cutmix=0.0, smoothing=0.3)(jax.random.key(0), batch)
    np.testing.assert_array_equal(plain["global"], batch["global"])
    np.testing.assert_allclose(plain["target"][0], [0.8, 0.1, 0.1], atol=1e-6)


def test_subsets_are_balanced_nested_and_seeded():
    labels = np.repeat([0, 1, 2, -1], [50, 20, 3, 10])
    few, more = balanced(labels, per_class=4), balanced(labels, per_class=10)
    assert np.bincount(labels[few]).tolist() == [4, 4, 3] and set(few) <= set(more)
    tenth, half = balanced(labels, share=0.1), balanced(labels, share=0.5)
    assert np.bincount(labels[tenth] + 1).tolist() == [1, 5, 2, 1] and set(tenth) <= set(half)
    assert not np.array_equal(few, balanced(labels, per_class=4, seed=1))
    source = from_arrays(np.zeros((83, 4, 4, 3), np.uint8), labels)
    assert len(subset(source, per_class=2)) == 6
    with pytest.raises(ValueError, match="no labels"):
        subset(from_arrays(np.zeros((2, 4, 4, 3), np.uint8)), per_class=2)
