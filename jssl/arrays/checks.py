"""Checks of shapes and types while a loss is traced. An error names the argument, its shape or type, and what
was expected.
"""

import numbers

import jax
import jax.numpy as jnp

_KINDS = {
    float: (jnp.floating, "floating-point numbers"),
    int: (jnp.integer, "integers"),
    bool: (jnp.bool_, "booleans, True where hidden; convert with .astype(bool)"),
}


def check(**arguments: tuple) -> list[jax.Array]:
    """Checks the shapes and types of arguments, and promotes floats to at least float32.

    Args:
        **arguments: name=(array, axes) or name=(array, axes, kind). Axes are letters as in einsum: the same
            letter is the same size in every argument, and `...` first stands for any leading axes. The kind
            is float (the default), int or bool. A Python number among floats takes the arrays' precision.
    Returns:
        The arrays in the order given; float64 stays float64.
    Raises:
        TypeError: for another dtype.
        ValueError: for another rank, sizes that disagree, or an empty axis.
    Examples:
        >>> z, mask = check(z=(jnp.ones((2, 3), jnp.bfloat16), "B D"), mask=(jnp.ones(2, bool), "B", bool))
        >>> z.dtype.name
        'float32'
        >>> check(z_a=(jnp.ones((2, 3)), "B D"), z_b=(jnp.ones((4, 3)), "B D"))
        Traceback (most recent call last):
        ...
        ValueError: z_b has shape (4, 3), expected [B, D] with B = 2 as in z_a
    """
    sizes, arrays = {}, []
    for name, (array, axes, *kind) in arguments.items():
        number = not kind and type(array) in (int, float)
        array = _gathered(jnp.asarray(float(array) if number else array))
        _check_kind(name, array, *kind)
        _check_shape(name, array, axes.split(), sizes)
        if jnp.issubdtype(array.dtype, jnp.floating) and not number:
            array = array.astype(jnp.promote_types(array.dtype, jnp.float32))
        arrays.append(array)
    return arrays


def _gathered(array):
    """Replicates an array with explicit sharding on every device, since JAX rejects products of two sharded
    batches as ambiguous.
    """
    sharding = jax.typeof(array).sharding
    if all(axis is None for axis in sharding.spec):  # so are shardings that the compiler chooses
        return array
    mesh = sharding.mesh if isinstance(array, jax.core.Tracer) else array.sharding.mesh
    return jax.sharding.reshard(array, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def _check_kind(name, array, kind=float):
    dtype, words = _KINDS[kind]
    if not jnp.issubdtype(array.dtype, dtype):
        raise TypeError(f"{name} has dtype {array.dtype} and shape {array.shape}, expected {words}")


def _check_shape(name, array, axes, sizes):
    expected, letters = f"expected [{', '.join(axes)}]", axes
    if axes[:1] == ["..."]:
        leading = array.ndim - len(axes) + 1
        letters = [None] * leading + axes[1:]
    if array.ndim != len(letters):
        raise ValueError(f"{name} has shape {array.shape}, {expected}")
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}, {expected} with no empty axis")
    for letter, size in zip(letters, array.shape, strict=True):
        known, owner = sizes.setdefault(letter, (size, name))
        if letter is not None and size != known:
            raise ValueError(
                f"{name} has shape {array.shape}, {expected} with {letter} = {known} as in {owner}"
            )


def check_batch(least: int, reason: str, **array: jax.Array) -> None:
    """Raises a ValueError for a batch that is too small for a loss.

    Args:
        least: the smallest batch allowed.
        reason: what the loss needs it for; part of the message.
        **array: name=array, the batch first.
    Raises:
        ValueError: for a smaller batch.
    Examples:
        >>> check_batch(2, "a nearest neighbour", z=jnp.ones((1, 3)))
        Traceback (most recent call last):
        ...
        ValueError: z has shape (1, 3), expected a batch of at least 2 for a nearest neighbour
    """
    for name, value in array.items():
        if value.shape[0] < least:
            raise ValueError(
                f"{name} has shape {value.shape}, expected a batch of at least {least} for {reason}"
            )


def check_positive(**values) -> None:
    """Raises a ValueError for numbers that are not above zero; traced values and arrays pass, since their
    values are not known yet.

    Args:
        **values: name=number, for instance a temperature.
    Raises:
        ValueError: for zero, a negative number or nan.
    Examples:
        >>> check_positive(temperature=0.0)
        Traceback (most recent call last):
        ...
        ValueError: temperature is 0.0, expected a number above 0
    """
    for name, value in values.items():
        if isinstance(value, numbers.Real) and not float(value) > 0:
            raise ValueError(f"{name} is {value}, expected a number above 0")
