"""What the contrastive methods remember: MoCo's queue and PCL's clusters."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import methods, models
from jssl.arrays.vectors import unit
from tests.methods import toys

BATCH, QUEUE = 8, 24


def test_the_queue_of_moco_holds_exactly_the_last_keys():
    encoder, head = toys.Mlp(), models.moco_head(4, hidden=8)
    method = methods.moco_v2(encoder, head=head, queue=QUEUE, momentum=0.5)
    views, batches = toys.noisy(2), [toys.batch(i) for i in range(5)]
    states, _ = toys.record(method, optax.sgd(0.5), views, batches)

    def keys_of_teacher(state, batch):
        image = views(toys.keys_of(state)[0], batch)["global"][1]
        return unit(
            head.apply(
                {"params": state.teacher["cls"]}, encoder.apply({"params": state.teacher["encoder"]}, image)
            )
        )

    keys = [keys_of_teacher(*pair) for pair in zip(states[:-1], batches, strict=True)]
    queue = np.array(states[0].memory["objective"]["queue"])
    for step, state in enumerate(states[1:]):
        row = step * BATCH % QUEUE
        queue[row : row + BATCH] = keys[
            step
        ]  # the oldest make place; after three batches the first row is the oldest
        np.testing.assert_allclose(state.memory["objective"]["queue"], queue, atol=1e-6)
        assert state.memory["objective"]["pointer"] == (row + BATCH) % QUEUE
    assert not np.allclose(
        states[0].teacher["cls"]["layers_0"]["kernel"], states[-1].teacher["cls"]["layers_0"]["kernel"]
    )


def blobs():
    from sklearn.datasets import make_blobs

    return make_blobs(1024, 8, centers=24, random_state=0)[0]


def handwriting():
    from sklearn.datasets import load_digits

    return load_digits().data[:1792]


PICTURES = {"blobs": (blobs, 24), "digits": (handwriting, 10)}


@cache
def clustered(name):
    """A memory of PCL whose bank holds the pictures, normalised, its method, and scikit-learn's inertia on
    the same.
    """
    from sklearn.cluster import KMeans

    load, clusters = PICTURES[name]
    x = jnp.asarray(load(), jnp.float32)
    settings = dict(examples=len(x), clusters=(clusters,), head=toys.identity(), queue=len(x))
    method = methods.pcl(toys.identity(), **settings)
    views = {"global": jnp.stack([x, x]), "index": jnp.arange(len(x))}
    params, memory = jax.jit(method.init)(jax.random.key(0), views)
    _, (memory, _) = jax.jit(method.loss)(params, params, memory, views, jax.random.key(1), 0)
    inertia = KMeans(clusters, n_init=5, random_state=0).fit(np.asarray(unit(x))).inertia_
    return method, memory, np.asarray(unit(x)), inertia


def inertia_of(memory, x):
    """The sum of squared distances to the means of the clusters that the memory assigns."""
    (clustering,) = memory["objective"]["prototype"]["clusterings"]
    assignment = np.asarray(clustering["assignment"])
    means = np.stack([x[assignment == c].mean(0) for c in range(assignment.max() + 1)])
    return np.sum((x - means[assignment]) ** 2)


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("name", PICTURES)
def test_the_clusters_of_pcl_are_as_good_as_those_of_scikit_learn(name, devices):
    method, memory, x, expected = clustered(name)
    mesh = jax.make_mesh(
        (devices,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:devices]
    )
    rows, everywhere = (
        jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axis)) for axis in (("data",), ())
    )
    spread = jax.tree.map(
        lambda part: jax.device_put(part, rows if part.shape[:1] == x.shape[:1] else everywhere), memory
    )
    refreshed = jax.jit(method.refresh.call)(jax.random.key(2), spread)
    assert inertia_of(refreshed, x) < 1.02 * expected
    assert inertia_of(refreshed, x) < 0.9 * inertia_of(memory, x)  # before, all is one cluster
