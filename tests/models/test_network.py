"""How Flax modules are called: flags of training, and what their layers have sown."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.models import ViT
from jssl.models.headed import with_heads
from jssl.models.network import as_outputs, collecting, network

X = jax.random.normal(jax.random.key(0), (8, 32))


def flagged(name, *, default=None):
    """A module with dropout and batch norm whose flag has this name."""
    train = f"not {name}" if name in ("deterministic", "use_running_average") else name
    kind = f"{name}: bool" + ("" if default is None else f" = {default}")
    scope = {"nn": nn}
    body = f"""
def call(self, x, {kind}):
    x = nn.BatchNorm(use_running_average=not ({train}))(x)
    return nn.Dropout(0.5, deterministic=not ({train}))(x)
"""
    exec(body, scope)
    return type("Flagged", (nn.Module,), {"__call__": nn.compact(scope["call"])})()


def assert_trains_and_rests(net):
    """Dropout drops and batch statistics move in training, and nothing does otherwise."""
    params, statistics = net.init(jax.random.key(0), X)
    outputs, moved = net.apply(params, statistics, X, train=True, key=jax.random.key(1))
    assert 0.3 < np.mean(outputs == 0) < 0.7
    assert np.all(moved["batch_stats"]["BatchNorm_0"]["mean"] != 0)
    quiet, same = net.apply(params, statistics, X)
    assert np.all(quiet != 0) and same is statistics


@pytest.mark.parametrize("default", [None, "True", "False"])
@pytest.mark.parametrize("name", ["train", "training", "is_training", "deterministic", "use_running_average"])
def test_the_flag_of_training_is_set_whatever_it_is_called(name, default):
    net = network(flagged(name, default=default))
    assert_trains_and_rests(net)


@pytest.mark.parametrize("default", ["False", "None"])
@pytest.mark.parametrize("name", ["inference", "train_mode", "evaluate", "is_train"])
def test_a_flag_of_another_name_is_refused(name, default):
    with pytest.raises(TypeError, match=f"Flagged has a flag {name}, which nobody would set"):
        network(flagged(name, default=default))


def test_a_flag_among_the_fields_is_set_too():
    class Kept(nn.Module):
        train: bool = False
        deterministic: bool | None = None

        @nn.compact
        def __call__(self, x):
            x = nn.BatchNorm(use_running_average=not self.train)(x)
            return nn.Dropout(0.5, deterministic=self.deterministic)(x)

    net = network(Kept(train=True))
    assert_trains_and_rests(net)


class Layers(nn.Module):
    """Twelve layers that sow what they have made."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        for i in range(12):
            x = Layer(name=f"block_{i}")(x)
        return nn.BatchNorm(use_running_average=not train)(x)


class Layer(nn.Module):
    @nn.compact
    def __call__(self, x):
        self.sow("intermediates", "blocks", x + 1)
        return x + 1


def test_inner_values_come_in_the_order_of_the_layers():
    net = network(Layers())
    params, statistics = net.init(jax.random.key(0), X)
    outputs, after = net.apply(params, statistics, X, train=True, collect=("blocks",))
    for i, x in enumerate(outputs.inner["blocks"]):
        np.testing.assert_allclose(x, X + i + 1, atol=1e-5)
    assert len(outputs.inner["blocks"]) == 12
    assert jax.tree.structure(after) == jax.tree.structure(statistics)
    with pytest.raises(ValueError, match="no layer sows 'attention'; there are blocks"):
        net.apply(params, statistics, X, collect=("attention",))


def test_inner_values_are_free_where_nobody_asks():
    vit = ViT(patch=4, dim=8, depth=2, heads=2)
    images = jnp.ones((2, 16, 16, 3))
    net = network(vit)
    params, statistics = net.init(jax.random.key(0), images)

    def flops(apply):
        run = jax.jit(lambda params: as_outputs(apply(params, statistics, images)[0])["cls"])
        return run.lower(params).compile().cost_analysis()["flops"]

    assert flops(net.apply) == flops(collecting(vit, "attention").apply)


@pytest.mark.parametrize("scan", [False, True])
def test_heads_and_masks_see_what_was_collected(scan):
    vit = ViT(patch=4, dim=8, depth=2, heads=2, scan=scan)
    images = jax.random.normal(jax.random.key(0), (3, 16, 16, 3))
    net = with_heads(collecting(vit, "attention"), cls=nn.Dense(4))
    params, statistics = net.init(jax.random.key(0), images)
    outputs, _ = net.apply(params, statistics, images)
    rows = outputs["attention"]
    assert [row.shape for row in rows] == [(3, 2, 17)] * 2
    np.testing.assert_allclose(rows[-1].sum(-1), 1, atol=1e-5)
    assert outputs["cls"].shape == (3, 4)


@pytest.mark.parametrize("scan", [False, True])
def test_the_last_block_after_the_last_norm_is_the_networks_tokens(scan):
    vit = ViT(patch=4, dim=8, depth=3, heads=2, scan=scan)
    images = jax.random.normal(jax.random.key(0), (3, 16, 16, 3))
    net = collecting(vit, "blocks")
    params, statistics = net.init(jax.random.key(0), images)
    features, _ = net.apply(params, statistics, images)
    blocks = features.inner["blocks"]
    assert len(blocks) == 3 and np.abs(blocks[0] - blocks[2]).max() > 1e-2
    last = vit.norm().apply({"params": params["norm"]}, blocks[-1])
    np.testing.assert_allclose(last[:, 1:], features.tokens, atol=1e-5)
