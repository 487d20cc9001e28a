"""Every objective under jit, without it and on many devices: chex runs each as it is, compiled and mapped."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from tests.objectives.cases import CASES
from tests.objectives.test_remembering import OBJECTIVES, given_to


def named(table):
    return parameterized.named_parameters(*[(name, name) for name in table])


class Variants(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_pmap=True)
    @named(CASES)
    def test_losses(self, name):
        case = CASES[name]
        arrays = case.arrays(np.random.default_rng(0), 4)
        with jax.enable_x64(True):
            expected = jax.jit(lambda arrays: case.loss(**arrays))(arrays)
        single = {key: x.astype(np.float32) if x.dtype == np.float64 else x for key, x in arrays.items()}
        losses = self.variant(lambda arrays: case.loss(**arrays))(single)
        chex.assert_tree_all_finite(losses)
        chex.assert_type(losses, jnp.float32)
        chex.assert_trees_all_close(np.asarray(losses, float), np.asarray(expected), rtol=2e-4, atol=2e-5)

    @chex.variants(with_jit=True, without_jit=True, with_pmap=True)
    @named(OBJECTIVES)
    def test_pairs(self, name):
        objective, arrays = OBJECTIVES[name], given_to(name)
        memory = objective.init(arrays)
        expected = jax.jit(lambda *arguments: objective.apply(*arguments))(memory, arrays, 1)
        found = self.variant(objective.apply)(memory, arrays, jnp.asarray(1))
        chex.assert_tree_all_finite(found)
        chex.assert_trees_all_close(found, expected, rtol=2e-5, atol=2e-6)
