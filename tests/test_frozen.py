"""Networks that never change, and states that begin with given weights."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import init_state, masked_prediction, models, train_step
from jssl.checkpoint import Checkpoints
from jssl.masks import random_mask
from jssl.methods.pairs import over_patches
from jssl.models.freezing import frozen
from jssl.models.headed import with_heads
from jssl.models.network import network
from jssl.objectives import masked_reconstruction, patchify
from jssl.sharding import make_mesh, state_sharding
from tests.methods import toys

SIDE, PATCH, GRID = 16, 4, (4, 4)
WEIGHTS = ("memory", "statistics", "target", "frozen")


class Tower(nn.Module):
    """A million parameters: images -> tokens [B, N, 6]."""

    @nn.compact
    def __call__(self, images, *, train: bool = False):
        x = nn.Dense(1000)(nn.Dense(1000)(patchify(images, PATCH)))
        return nn.BatchNorm(use_running_average=not train)(nn.Dense(6)(x))


def variables():
    return Tower().init(jax.random.key(9), jnp.ones((1, SIDE, SIDE, 3)))


def method(**given):
    vit = models.ViT(patch=PATCH, dim=8, depth=1, heads=2)
    return masked_prediction(
        with_heads(vit, patch=nn.Dense(6)),
        over_patches(masked_reconstruction),
        masking=lambda keys, images: random_mask(keys, GRID, ratio=0.5),
        target=frozen(Tower(), **given),
    )


KEY = jax.random.key(0)
OPTIMIZER, VIEWS = optax.adamw(1e-3), toys.noisy(1)


def begun(method, **how):
    return init_state(method, OPTIMIZER, VIEWS, toys.batch(side=SIDE), key=jax.random.key(0), **how)


def at(tree, path):
    for name in path:
        tree = tree[name] if isinstance(tree, dict) else getattr(tree, name)
    return tree


def program_size(function, *arguments):
    """Bytes of the program that is compiled, its constants included."""
    program = jax.jit(function).lower(*arguments).compiler_ir(dialect="hlo")
    return len(program.as_serialized_hlo_module_proto())


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_a_frozen_network_adds_no_constant_moves_by_nothing_and_has_no_optimizer_state(tmp_path):
    given = jax.tree.map(np.asarray, variables())
    training = method(variables=given)
    state = begun(training)
    step = train_step(training, OPTIMIZER, VIEWS)
    assert sum(x.size for x in jax.tree.leaves(given["params"])) > 1_000_000
    assert program_size(step, state, toys.batch(side=SIDE)) < 1_000_000
    assert sum(x.size for x in jax.tree.leaves(state.opt_state)) < 10_000
    assert not {"target", "frozen"} & set(state.params)

    step, first = jax.jit(step), state
    for i in range(10):
        state, _ = step(state, toys.batch(i, side=SIDE))
    equal(at(state, WEIGHTS), dict(given))
    assert optax.tree.norm(optax.tree.sub(state.params, first.params)) > 1e-3

    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, state)
    checkpoints.wait()
    restored = checkpoints.restore(jax.eval_shape(lambda: state))
    checkpoints.close()
    equal(at(restored, WEIGHTS), dict(given))


def test_a_frozen_network_is_sharded_as_parameters_are():
    mesh = make_mesh("fsdp=2", devices=jax.devices()[:2])
    places = state_sharding(mesh, jax.eval_shape(lambda: begun(method(variables=variables()))))
    assert at(places, WEIGHTS)["params"]["Dense_1"]["kernel"].spec[1] == "fsdp"


def test_a_frozen_network_without_weights_is_refused_until_start_gives_them():
    with pytest.raises(ValueError, match="memory/statistics/target/frozen is a frozen network without its w"):
        begun(method())
    given = variables()
    some = {"params": {"Dense_0": given["params"]["Dense_0"]}}
    with pytest.raises(ValueError, match="without its weights \\(batch_stats/BatchNorm_0/mean\\)"):
        begun(method(), start={"memory": {"statistics": {"target": {"frozen": some}}}})
    start = {"memory": {"statistics": {"target": {"frozen": given}}}}
    assert program_size(lambda start: begun(method(), start=start), start) < 1_000_000
    state = begun(method(), start=start)
    equal(at(state, WEIGHTS), dict(given))
    assert jax.tree.structure(state) == jax.tree.structure(begun(method(variables=given)))


def test_a_frozen_network_passes_no_gradient_and_follows_the_images_dtype():
    net = frozen(nn.Dense(3), nn.Dense(3).init(jax.random.key(0), jnp.ones((1, 2))))
    params, statistics = net.init(jax.random.key(1), jnp.ones((1, 2)))
    assert (
        params == {}
        and net.apply(params, statistics, jnp.ones((1, 2), jnp.bfloat16))[0].dtype == jnp.bfloat16
    )
    slope = jax.grad(lambda s: net.apply({}, s, jnp.ones((1, 2)))[0].sum())(statistics)
    assert all(np.all(x == 0) for x in jax.tree.leaves(slope))
    with pytest.raises(ValueError, match=r"params/kernel is given with shape \(4, 3\), expected \(2, 3\)"):
        frozen(nn.Dense(3), {"params": {"kernel": jnp.ones((4, 3))}}).init(
            jax.random.key(1), jnp.ones((1, 2))
        )


def test_a_target_that_would_be_trained_is_refused():
    with pytest.raises(ValueError, match="give frozen"):
        begun(
            masked_prediction(
                with_heads(models.ViT(patch=PATCH, dim=8, depth=1, heads=2), patch=nn.Dense(6)),
                over_patches(masked_reconstruction),
                masking=lambda keys, images: random_mask(keys, GRID, ratio=0.5),
                target=network(Tower()),
            )
        )


def test_start_is_laid_over_the_parameters_by_path():
    given = method(variables=variables())
    kernel = np.full((6,), 7.0)
    state = begun(given, start={"params": {"patch": {"bias": kernel}}})
    equal(state.params["patch"]["bias"], kernel)
    equal(state.params["encoder"], begun(given).params["encoder"])
    with pytest.raises(ValueError, match=r"params/patch/bias is given with shape \(5,\), expected \(6,\)"):
        begun(given, start={"params": {"patch": {"bias": np.ones(5)}}})
    with pytest.raises(ValueError, match="params/head is given, but there is no such array"):
        begun(given, start={"params": {"head": np.ones(5)}})
