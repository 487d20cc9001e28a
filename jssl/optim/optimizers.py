"""Optimizers of self-supervised systems that optax has only in another form."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jssl.arrays.stacks import squares_of_layers
from jssl.optim.parameters import everything, weights, weights_and_tokens
from jssl.optim.schedules import Schedule

Mask = Callable[[Any], Any]  # params -> a pytree of bool of the same structure, as in `jssl.optim.parameters`


def lars(
    learning_rate: float | Schedule,
    *,
    momentum: float = 0.9,
    weight_decay: float = 1e-6,
    trust_coefficient: float = 1e-3,
    adapts: Mask = weights_and_tokens,
    rate_inside_momentum: bool = False,
) -> optax.GradientTransformation:
    """Makes LARS in the form of BYOL, MoCo v3, MAE and Barlow Twins, or in that of SimCLR.

        g' = g + weight_decay * p
        u  = g' * trust_coefficient * |p| / |g'|                       (trust 1 where either norm is 0)
        m  = momentum * m + u;                       p = p - learning_rate(step) * m
        m  = momentum * m + learning_rate(step) * u; p = p - m         (rate_inside_momentum: SimCLR)

    Parameters that `adapts` does not choose have neither decay nor trust: they are updated by plain momentum.

    Args:
        learning_rate: a number, or a schedule of the step.
        momentum: in [0, 1).
        weight_decay: added to the gradient before its norm is taken.
        trust_coefficient: the size of a layer's update relative to the layer.
        adapts: chooses the parameters that have decay and trust; all but biases and norms by default.
        rate_inside_momentum: whether past updates keep the learning rate of their own step.
    Returns:
        An `optax.GradientTransformation`; its update needs the parameters.
    Raises:
        ValueError: for a hyper-parameter out of range.
    References:
        LARS, arXiv:1708.03888; byol/utils/optimizers.py, moco-v3 moco/optimizer.py, barlowtwins main.py,
        simclr lars_optimizer.py
    Examples:
        >>> params = {"dense": {"kernel": jnp.full((2, 2), 2.0)}}
        >>> optimizer = lars(1.0, weight_decay=0.0, trust_coefficient=0.1)
        >>> updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, params), optimizer.init(params), params)
        >>> round(float(updates["dense"]["kernel"][0, 0]), 4)  # 0.1 of the parameter's norm
        -0.2
    """
    _check_layerwise("lars", momentum, weight_decay, trust_coefficient)

    def trusted(updates, params):
        def scaled(update, size, slope):
            size, slope = jnp.sqrt(size), jnp.sqrt(slope)
            trust = jnp.where((size > 0) & (slope > 0), trust_coefficient * size / slope, 1)
            return update * trust.astype(update.dtype)

        return jax.tree.map(scaled, updates, *squares_of_layers((params, updates)))

    smoothed = [optax.trace(decay=momentum), optax.scale_by_learning_rate(learning_rate)]
    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask=adapts),
        optax.masked(optax.stateless(trusted), adapts),
        *(reversed(smoothed) if rate_inside_momentum else smoothed),
    )


def larc(
    learning_rate: float | Schedule,
    *,
    momentum: float = 0.9,
    weight_decay: float = 1e-6,
    trust_coefficient: float = 1e-3,
    eps: float = 1e-8,
    adapts: Mask = everything,
) -> optax.GradientTransformation:
    """Makes LARC without clipping, as in SwAV and DeepCluster v2: LARS with separate norms of gradient and
    decay.

        u = (g + weight_decay * p) * trust_coefficient * |p| / (|g| + weight_decay * |p| + eps)
        m = momentum * m + u;  p = p - learning_rate(step) * m

    Where a norm is 0, and for parameters that `adapts` does not choose, u = g.

    Args:
        learning_rate: a number, or a schedule of the step.
        momentum: in [0, 1).
        weight_decay: not negative.
        trust_coefficient: the size of a layer's update relative to the layer.
        eps: added to the gradient's norm.
        adapts: chooses the parameters that have decay and trust; all by default. solo-learn's LARS is this
            with `weights_and_tokens`.
    Returns:
        An `optax.GradientTransformation`; its update needs the parameters.
    Raises:
        ValueError: for a hyper-parameter out of range.
    References:
        LARS, arXiv:1708.03888; NVIDIA apex, apex/parallel/LARC.py; solo-learn, solo/utils/lars.py
    Examples:
        >>> params = {"scale": jnp.full(4, 2.0)}
        >>> optimizer = larc(1.0, weight_decay=0.0, trust_coefficient=0.1)
        >>> updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, params), optimizer.init(params), params)
        >>> round(float(updates["scale"][0]), 4)
        -0.2
    """
    _check_layerwise("larc", momentum, weight_decay, trust_coefficient)

    def adapted(updates, params):
        def adapt(gradient, param, size, slope):
            size, slope = jnp.sqrt(size), jnp.sqrt(slope)
            trust = trust_coefficient * size / (slope + weight_decay * size + eps)
            return jnp.where((size > 0) & (slope > 0), trust * (gradient + weight_decay * param), gradient)

        return jax.tree.map(adapt, updates, params, *squares_of_layers((params, updates)))

    return optax.chain(
        optax.masked(optax.stateless(adapted), adapts),
        optax.trace(decay=momentum),
        optax.scale_by_learning_rate(learning_rate),
    )


def adamw(
    learning_rate: float | Schedule,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float | Schedule = 0.05,
    decays: Mask = weights,
) -> optax.GradientTransformation:
    """Makes AdamW with a weight decay that is a number or a schedule (DINO: 0.04 to 0.4) and only applies to
    chosen parameters.

        p = p - learning_rate(step) * (adam(g) + weight_decay(step) * p)

    Args:
        learning_rate: a number, or a schedule of the step.
        b1: of the first moment, in [0, 1).
        b2: of the second moment, in [0, 1) (MAE: 0.95).
        eps: added to the second moment's root.
        weight_decay: a number, or a schedule of the step.
        decays: chooses the parameters that decay: `weights` by default, `weights_and_tokens` for DINO, iBOT
            and I-JEPA.
    Returns:
        An `optax.GradientTransformation`; its update needs the parameters.
    Raises:
        ValueError: for a hyper-parameter out of range.
    References:
        AdamW, arXiv:1711.05101
    Examples:
        >>> params = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}
        >>> optimizer = adamw(0.1, weight_decay=0.5)
        >>> gradients = jax.tree.map(jnp.zeros_like, params)
        >>> updates, _ = optimizer.update(gradients, optimizer.init(params), params)
        >>> round(float(updates["dense"]["kernel"][0, 0]), 4), abs(float(updates["dense"]["bias"][0]))
        (-0.05, 0.0)
    """
    for name, beta in (("b1", b1), ("b2", b2)):
        _check("adamw", **{name: (beta, 0.0 <= beta < 1.0, "in [0, 1)")})
    if not callable(weight_decay):
        _check("adamw", weight_decay=(weight_decay, weight_decay >= 0.0, "not negative"))
    return optax.chain(
        optax.scale_by_adam(b1=b1, b2=b2, eps=eps),
        optax.add_decayed_weights(weight_decay, mask=decays),
        optax.scale_by_learning_rate(learning_rate),
    )


def sgd(
    learning_rate: float | Schedule,
    *,
    momentum: float = 0.9,
    nesterov: bool = False,
    weight_decay: float = 1e-4,
    decays: Mask = weights,
) -> optax.GradientTransformation:
    """Makes SGD with momentum; the decay is added to the gradient, as in torch.

        mu = momentum * mu + g + weight_decay * p;  p = p - learning_rate(step) * mu

    Args:
        learning_rate: a number, or a schedule of the step.
        momentum: in [0, 1).
        nesterov: whether the step looks ahead: p = p - learning_rate(step) * (g + weight_decay * p + momentum
            * mu).
        weight_decay: not negative.
        decays: chooses the parameters that decay: `weights` by default, `everything` for MoCo, PCL and
            SimSiam, whose torch optimizers decay biases and norms too.
    Returns:
        An `optax.GradientTransformation`; its update needs the parameters.
    Raises:
        ValueError: for a hyper-parameter out of range.
    References:
        MoCo, arXiv:1911.05722
    Examples:
        >>> params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
        >>> optimizer = sgd(0.1, weight_decay=0.5, decays=lambda params: {"kernel": True, "bias": True})
        >>> gradients = jax.tree.map(jnp.zeros_like, params)
        >>> updates, _ = optimizer.update(gradients, optimizer.init(params), params)
        >>> round(float(updates["bias"][0]), 4)
        -0.05
    """
    _check("sgd", momentum=(momentum, 0.0 <= momentum < 1.0, "in [0, 1)"))
    _check("sgd", weight_decay=(weight_decay, weight_decay >= 0.0, "not negative"))
    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask=decays),
        optax.trace(momentum, nesterov=nesterov),
        optax.scale_by_learning_rate(learning_rate),
    )


def _check_layerwise(optimizer: str, momentum: float, weight_decay: float, trust_coefficient: float) -> None:
    _check(optimizer, momentum=(momentum, 0.0 <= momentum < 1.0, "in [0, 1)"))
    _check(optimizer, weight_decay=(weight_decay, weight_decay >= 0.0, "not negative"))
    _check(optimizer, trust_coefficient=(trust_coefficient, trust_coefficient > 0.0, "positive"))


def _check(optimizer: str, **claims: tuple[float, bool, str]) -> None:
    for name, (value, holds, expected) in claims.items():
        if not holds:
            raise ValueError(f"{optimizer}: {name} must be {expected}, got {value}")
