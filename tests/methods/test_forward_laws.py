"""How a network sees several views: which images share batch statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.methods.frames.forward import apart, in_groups, together
from jssl.models import batch_norm
from jssl.models.headed import with_heads
from jssl.models.heads import Head
from jssl.models.network import network

BATCH, GROUPS = 12, 3
MEMBERS = (
    (lambda key, x: {}),
    (lambda params, x: jnp.broadcast_to(x.sum(0), x.shape)),
)  # who is in an image's call
ONE_HOT = {"global": jnp.stack([jnp.eye(BATCH)] * 2)}


def members(groups):
    return np.asarray(in_groups(groups)(network(MEMBERS), {}, {}, ONE_HOT)[0]["cls"])


def test_groups_are_consecutive_images_of_each_view():
    np.testing.assert_array_equal(
        members(GROUPS), [np.kron(np.eye(GROUPS), np.ones((BATCH // GROUPS,) * 2))] * 2
    )
    np.testing.assert_array_equal(members(1), np.ones((2, BATCH, BATCH)))


def test_each_group_has_batch_statistics_of_its_own():
    net = network(Head([batch_norm(use_bias=False, use_scale=False)]))
    images = 3 * jax.random.normal(jax.random.key(0), (1, BATCH, 5)) + 1
    params, statistics = net.init(jax.random.key(0), images[0])
    outputs, statistics = in_groups(GROUPS)(net, params, statistics, {"global": images})
    parts = np.asarray(images).reshape(GROUPS, -1, 5)
    wanted = (parts - parts.mean(1, keepdims=True)) / parts.std(1, keepdims=True)
    np.testing.assert_allclose(outputs["cls"].reshape(parts.shape), wanted, atol=1e-4)
    (mean,) = [x for path, x in jax.tree_util.tree_leaves_with_path(statistics) if "mean" in str(path)]
    np.testing.assert_allclose(
        mean, 0.1 * images[0].mean(0), atol=1e-5
    )  # the groups' running statistics, averaged


def test_groups_that_do_not_divide_the_batch_are_refused():
    with pytest.raises(ValueError, match="groups must divide the batch, got 5 groups and 12 images"):
        members(5)


CROPS = {
    "global": 3 * jax.random.normal(jax.random.key(1), (2, BATCH, 5)) + 1,
    "local": jax.random.normal(jax.random.key(2), (3, BATCH, 5)) - 1,
}


def normalised(across):
    """The outputs of a batch norm as a head, and how often and whither its statistics have moved."""
    net = with_heads(MEAN, cls=Head([batch_norm(use_bias=False, use_scale=False)]))
    params, statistics = net.init(jax.random.key(0), CROPS["global"][0])
    outputs, statistics = across(net, params, statistics, CROPS)
    (mean,) = [x for path, x in jax.tree_util.tree_leaves_with_path(statistics) if "mean" in str(path)]
    return outputs["cls"], mean


MEAN = ((lambda key, x: {}), (lambda params, x: x))


def test_a_head_over_images_sees_views_of_all_sizes_at_once():
    """SwAV's batch norm: one call on all crops, statistics moved once."""
    every = jnp.concatenate([CROPS["global"], CROPS["local"]])
    outputs, mean = normalised(together)
    wanted = (every - every.mean((0, 1))) / every.std((0, 1))
    np.testing.assert_allclose(outputs, wanted, atol=1e-4)
    np.testing.assert_allclose(mean, 0.1 * every.mean((0, 1)), atol=1e-5)


def test_apart_a_head_sees_one_view_at_a_time():
    every = jnp.concatenate([CROPS["global"], CROPS["local"]])
    outputs, _ = normalised(apart)
    wanted = (every - every.mean(1, keepdims=True)) / every.std(1, keepdims=True)
    np.testing.assert_allclose(outputs, wanted, atol=1e-4)


def test_no_view_of_small_crops_is_told_twice():
    """Tokens of global and of local views go by two names, also where both are of one size."""
    net = ((lambda key, x: {}), (lambda params, x: {"cls": x.sum(1), "tokens": x[..., None] * jnp.ones(2)}))
    for width in (5, 3):
        views = CROPS | {"local": CROPS["local"][..., :width]}
        outputs, _ = together(network(net), {}, {}, views)
        assert outputs["tokens"].shape == (2, BATCH, 5, 2)
        assert outputs["tokens/local"].shape == (3, BATCH, width, 2) and outputs["cls"].shape == (5, BATCH)
