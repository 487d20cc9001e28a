"""Vectors of one shape share zeros on a GPU, and stay what they are everywhere."""

import chex
import jax
import jax.numpy as jnp

from jssl.arrays.kernels import vectors_together

TREE = {"a": jnp.arange(3.0), "b": jnp.ones(3), "c": jnp.ones(2, jnp.bfloat16), "kernel": jnp.ones((2, 3))}


def test_values_are_the_same():
    chex.assert_trees_all_equal(jax.jit(vectors_together)(TREE), TREE)
    assert vectors_together({"number": jnp.ones(())}) == {"number": 1}


def test_a_gpu_reads_one_array_for_each_shape_and_a_cpu_none():
    def barriers(platform):
        lowered = jax.jit(vectors_together).trace(TREE).lower(lowering_platforms=(platform,))
        return lowered.as_text().count("optimization_barrier")

    assert barriers("cuda") == 2 and barriers("cpu") == 0
