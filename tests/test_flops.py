"""A step multiplies little more than its method needs."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import flops
from jssl.arrays.jaxprs import matrix_flops
from jssl.run.systems import named


def programs(loss, *shapes):
    """A loss, and it with its gradient with respect to the first argument, as they are traced."""
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return (jax.make_jaxpr(each)(*arguments).jaxpr for each in (loss, jax.value_and_grad(loss)))


def layers(w, x):
    return jnp.sum(jax.lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, None, length=3)[0])


def branches(w, x):
    return jnp.sum(jax.lax.cond(x[0, 0] > 0, lambda: jax.jit(jnp.matmul)(x @ w, w), lambda: x @ w))


def stopped(w, x):
    return jnp.sum(jax.lax.stop_gradient(x @ w) * (x @ w))


@pytest.mark.parametrize("loss", [layers, branches, stopped])
def test_the_gradient_takes_the_counted_products(loss):
    forward, whole = programs(loss, (4, 4), (3, 4))
    assert flops.with_gradient(forward, [True, False])[0] == matrix_flops(whole)


def test_what_is_computed_twice_is_more():
    forward, whole = programs(jax.checkpoint(layers), (4, 4), (3, 4))
    assert matrix_flops(whole) > flops.with_gradient(forward, [True, False])[0]


def test_the_examples_hold():
    assert doctest.testmod(flops).failed == 0


@pytest.mark.parametrize("name", flops.NEEDS)
def test_a_published_step_takes_at_most_a_tenth_more_than_its_method_needs(name):
    found = flops.counted(name, named(name)(**({} if name == "swav" else {"scan": True})))
    assert 0.99 < found["needed"] <= 1.10
    assert 0.99 < found["once"] <= 1.02
    assert 0 < found["views"] < 0.1 * found["flops"]


def test_a_row_is_printed(capsys):
    flops.main(["simsiam"])
    row = capsys.readouterr().out.splitlines()[-1].split("|")
    assert row[1].strip() == "simsiam" and np.isfinite(float(row[2])) and row[5].strip() == ""
