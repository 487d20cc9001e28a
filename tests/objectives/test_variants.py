"""Every objective as it is and mapped over devices: what it gives when it is compiled for one."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from tests.objectives.cases import CASES
from tests.objectives.test_remembering import OBJECTIVES, given_to


def named(table):
    return parameterized.named_parameters(*[(name, name) for name in table])


@functools.cache
def losses_of(name):
    """The arrays of a case in single precision, and its losses in double."""
    case = CASES[name]
    arrays = case.arrays(np.random.default_rng(0), 4)
    with jax.enable_x64(True):
        losses = np.asarray(jax.jit(lambda arrays: case.loss(**arrays))(arrays))
    return {key: x.astype(np.float32) if x.dtype == np.float64 else x for key, x in arrays.items()}, losses


@functools.cache
def applied(name):
    """A memory, and what the compiled objective makes of it."""
    objective, arrays = OBJECTIVES[name], given_to(name)
    memory = objective.init(arrays)
    return memory, jax.jit(objective.apply)(memory, arrays, jnp.asarray(1))


class Variants(chex.TestCase):
    @chex.variants(without_jit=True, with_pmap=True)
    @named(CASES)
    def test_losses(self, name):
        arrays, expected = losses_of(name)
        losses = self.variant(lambda arrays: CASES[name].loss(**arrays))(arrays)
        chex.assert_tree_all_finite(losses)
        chex.assert_type(losses, jnp.float32)
        chex.assert_trees_all_close(np.asarray(losses, float), expected, rtol=2e-4, atol=2e-5)

    @chex.variants(without_jit=True, with_pmap=True)
    @named(OBJECTIVES)
    def test_pairs(self, name):
        memory, expected = applied(name)
        found = self.variant(OBJECTIVES[name].apply)(memory, given_to(name), jnp.asarray(1))
        chex.assert_tree_all_finite(found)
        chex.assert_trees_all_close(found, expected, rtol=2e-5, atol=2e-6)
