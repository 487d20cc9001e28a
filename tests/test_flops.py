"""A step multiplies little more than its method needs."""

import doctest

import jax
import jax.numpy as jnp
import pytest

from benchmarks import flops
from jssl.arrays.jaxprs import matrix_flops
from jssl.run.settings.systems import named


def programs(loss, *shapes):
    """A loss, and it with its gradient with respect to the first argument, as they are traced."""
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return (jax.make_jaxpr(each)(*arguments).jaxpr for each in (loss, jax.value_and_grad(loss)))


def layers(w, x):
    return jnp.sum(jax.lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, None, length=3)[0])


def branches(w, x):
    return jnp.sum(jax.lax.cond(x[0, 0] > 0, lambda: jax.jit(jnp.matmul)(x @ w, w), lambda: x @ w))


def unread(w, x):
    products = x @ w @ w, w @ w
    return jnp.sum(products[0])


@pytest.mark.parametrize("loss", [layers, branches, unread])
def test_the_gradient_takes_the_counted_products(loss):
    forward, whole = programs(loss, (4, 4), (3, 4))
    assert flops.with_gradient(forward, [True, False])[0] == matrix_flops(whole)


def test_the_gradient_of_a_strided_convolution_takes_as_much_again():
    """Its kernel's gradient is a dilated convolution, whose kernel is given without the zeros between."""

    def strided(kernel, x):
        names = ("NHWC", "HWIO", "NHWC")
        return jnp.sum(jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=names))

    forward, whole = programs(strided, (3, 3, 4, 5), (2, 8, 8, 4))
    assert matrix_flops(forward) == 2 * 2 * 16 * 9 * 4 * 5
    assert flops.with_gradient(forward, [True, False])[0] == matrix_flops(whole) == 2 * matrix_flops(forward)


def test_what_is_computed_twice_is_more():
    forward, whole = programs(jax.checkpoint(layers), (4, 4), (3, 4))
    assert matrix_flops(whole) > flops.with_gradient(forward, [True, False])[0]


def test_the_examples_hold():
    assert doctest.testmod(flops).failed == 0


@pytest.mark.parametrize("name", [name for name in flops.NEEDS if name != "dino"])  # iBOT has its forward
def test_a_published_step_takes_at_most_a_tenth_more_than_its_method_needs(name):
    found = flops.counted(name, named(name)(**({} if name == "swav" else {"scan": True})))
    assert 0.99 < found["needed"] <= 1.10
    assert 0.99 < found["once"] <= 1.02
    assert 0 < found["views"] < 0.1 * found["flops"]


def test_a_row_is_printed(capsys, monkeypatch):
    found = {"flops": 2e12, "views": 1e11, "once": 1.0}
    monkeypatch.setattr(
        flops, "counted", lambda name, settings: found | ({} if name == "byol" else {"needed": 1.05})
    )
    flops.main(["byol", "dino"])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert rows == ["| byol | 2.0000 | 5.0% | 1.000 |  |", "| dino | 2.0000 | 5.0% | 1.000 | 1.050 |"]
