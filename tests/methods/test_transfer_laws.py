"""Clusters of a frozen network's features are labels by index, found once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import methods
from jssl.models.freezing import frozen
from tests.methods import toys

EXAMPLES = 24


@pytest.fixture(scope="module")
def taught():
    """A method whose teacher's features are the images; images in three groups far from each other."""
    method = methods.cluster_transfer(
        toys.Mlp((8,)), frozen(toys.identity()), examples=EXAMPLES, clusters=3, dim=16
    )
    group, rng = np.arange(EXAMPLES) % 3, np.random.default_rng(0)
    centres = 5 * rng.normal(size=(3, 4, 4, 3))
    images = jnp.asarray(centres[group] + 0.01 * rng.normal(size=(EXAMPLES, 4, 4, 3)), jnp.float32)
    views = {"global": images[None], "index": jnp.arange(EXAMPLES)}
    params, memory = jax.jit(method.init)(jax.random.key(0), views)
    for start in range(0, EXAMPLES, 8):
        rows = jnp.arange(start, start + 8)
        memory = method.refresh.observe(params, None, memory, images[rows], rows)
    return method, params, memory, images, group


def same(assignment, group):
    """Whether two groupings are the same up to their numbers."""
    pairs = set(zip(np.asarray(assignment).tolist(), group.tolist(), strict=True))
    return len(pairs) == len(set(group)) == len(set(np.asarray(assignment).tolist()))


def clustered(method, memory):
    """Some draw of k-means that finds the groups; others start with two rows of one."""
    for seed in range(20):
        found = method.refresh.call(jax.random.key(seed), memory)
        if len(set(np.asarray(found["objective"]["assignment"]).tolist())) == 3:
            return found
    raise AssertionError("no draw has found three groups")


def loss(method, params, memory, images, index):
    views = {"global": images[None], "index": index}
    return float(method.loss(params, None, memory, views, jax.random.key(0), 0)[0])


def test_images_that_the_teacher_finds_alike_have_one_label(taught):
    method, _, memory, _, group = taught
    known = clustered(method, memory)
    assert same(known["objective"]["assignment"], group)
    again = method.refresh.call(jax.random.key(99), known)
    np.testing.assert_array_equal(again["objective"]["assignment"], known["objective"]["assignment"])


def test_nothing_is_learned_before_there_are_labels_and_then_by_index(taught):
    method, params, memory, images, _ = taught
    rows = jnp.arange(8)
    assert loss(method, params, memory, images[:8], rows) == 0
    known = clustered(method, memory)
    own = loss(method, params, known, images[:8], rows)
    assert own > 0
    assert loss(method, params, known, images[:8], rows + 3) == pytest.approx(
        own, rel=1e-6
    )  # the same groups
    assert loss(method, params, known, images[:8], rows + 1) != pytest.approx(
        own, rel=1e-3
    )  # not what is seen
