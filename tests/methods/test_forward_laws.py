"""How a network sees several views: which images share batch statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.methods.frames import in_groups
from jssl.models import batch_norm
from jssl.models.heads import Head
from jssl.models.network import network

BATCH, GROUPS = 12, 3
MEMBERS = (lambda key, x: {}), (lambda params, x: jnp.broadcast_to(x.sum(0), x.shape))  # who is in an image's call
ONE_HOT = {"global": jnp.stack([jnp.eye(BATCH)] * 2)}


def members(key, groups=GROUPS):
    return np.asarray(in_groups(groups)(network(MEMBERS), {}, {}, ONE_HOT, key=key)[0]["cls"]).astype(bool)


def test_groups_are_of_one_size_and_drawn_anew_for_every_key_and_view():
    drawn = members(jax.random.key(1))
    for view in drawn:
        assert (view == view.T).all() and view.diagonal().all() and (view.sum(1) == BATCH // GROUPS).all()
    assert (drawn[0] != drawn[1]).any() and (members(jax.random.key(2)) != drawn).any((1, 2)).all()
    assert members(jax.random.key(1), groups=1).all()


def test_without_a_key_groups_are_the_devices_shares():
    shares = np.kron(np.eye(GROUPS), np.ones((BATCH // GROUPS,) * 2))
    assert (members(None) == shares).all()


def test_each_group_has_batch_statistics_of_its_own():
    net = network(Head([batch_norm(use_bias=False, use_scale=False)]))
    images = 3 * jax.random.normal(jax.random.key(0), (1, BATCH, 5)) + 1
    params, statistics = net.init(jax.random.key(0), images[0])
    outputs, statistics = in_groups(GROUPS)(net, params, statistics, {"global": images})
    parts = np.asarray(images).reshape(GROUPS, -1, 5)
    wanted = (parts - parts.mean(1, keepdims=True)) / parts.std(1, keepdims=True)
    np.testing.assert_allclose(outputs["cls"].reshape(parts.shape), wanted, atol=1e-4)
    (mean,) = [x for path, x in jax.tree_util.tree_leaves_with_path(statistics) if "mean" in str(path)]
    np.testing.assert_allclose(mean, 0.1 * images[0].mean(0), atol=1e-5)  # the groups' running statistics, averaged


def test_groups_that_do_not_divide_the_batch_are_refused():
    with pytest.raises(ValueError, match="groups must divide the batch, got 5 groups and 12 images"):
        members(None, groups=5)
