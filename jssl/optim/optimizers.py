"""The optimizers that self-supervised recipes use and optax has in another form."""

import operator

import jax
import optax

from jssl.optim.parameters import biases_and_norms, weights
from jssl.optim.schedules import Schedule


def lars(
    learning_rate: float | Schedule,
    *,
    momentum: float = 0.9,
    weight_decay: float = 1e-6,
    trust_coefficient: float = 1e-3,
) -> optax.GradientTransformation:
    """LARS as BYOL, MoCo v3 and Barlow Twins have it: the learning rate outside the momentum.

        g' = g + weight_decay * p
        m  = momentum * m + g' * trust_coefficient * |p| / |g'|        (trust 1 where either norm is 0)
        p  = p - learning_rate(step) * m

    Biases and norms (`biases_and_norms`) have neither decay nor trust: they follow plain momentum. Tokens and position
    tables of two axes or more are adapted like weights, as the authors do. SimCLR's TensorFlow form, where the rate
    enters the momentum, is `optax.lars`.

    learning_rate:     a number, or a schedule of the step.
    momentum:          in [0, 1).
    weight_decay:      added to the gradient before its norm is taken.
    trust_coefficient: the size of a layer's update relative to the layer.

    Returns: an `optax.GradientTransformation`; its update needs the parameters.
    Raises:  ValueError for a hyper-parameter out of range.
    Source:  arXiv:1708.03888; byol/utils/optimizers.py, moco-v3 moco/optimizer.py, barlowtwins main.py.

    >>> import jax.numpy as jnp
    >>> params = {"dense": {"kernel": jnp.full((2, 2), 2.0)}}
    >>> optimizer = lars(1.0, weight_decay=0.0, trust_coefficient=0.1)
    >>> updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, params), optimizer.init(params), params)
    >>> round(float(updates["dense"]["kernel"][0, 0]), 4)    # 0.1 of the parameter's norm, whatever the gradient's
    -0.2
    """
    _check("lars", momentum=(momentum, 0.0 <= momentum < 1.0, "in [0, 1)"))
    _check("lars", weight_decay=(weight_decay, weight_decay >= 0.0, "not negative"))
    _check("lars", trust_coefficient=(trust_coefficient, trust_coefficient > 0.0, "positive"))

    def adapted(params):
        return jax.tree.map(operator.not_, biases_and_norms(params))

    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask=adapted),
        optax.masked(optax.scale_by_trust_ratio(trust_coefficient=trust_coefficient), adapted),
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
) -> optax.GradientTransformation:
    """AdamW that decays weights only, its decay a number or a schedule (DINO: 0.04 to 0.4).

        p = p - learning_rate(step) * (adam(g) + weight_decay(step) * p)

    learning_rate: a number, or a schedule of the step.
    b1, b2, eps:   Adam's moments, in [0, 1), and its epsilon (MAE: b2 = 0.95).
    weight_decay:  a number, or a schedule of the step; reaches the leaves of `weights` alone.

    Returns: an `optax.GradientTransformation`; its update needs the parameters.
    Raises:  ValueError for a hyper-parameter out of range.
    Source:  arXiv:1711.05101.

    >>> import jax.numpy as jnp
    >>> params = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}
    >>> optimizer = adamw(0.1, weight_decay=0.5)
    >>> updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    >>> round(float(updates["dense"]["kernel"][0, 0]), 4), abs(float(updates["dense"]["bias"][0]))
    (-0.05, 0.0)
    """
    for name, beta in (("b1", b1), ("b2", b2)):
        _check("adamw", **{name: (beta, 0.0 <= beta < 1.0, "in [0, 1)")})
    if not callable(weight_decay):
        _check("adamw", weight_decay=(weight_decay, weight_decay >= 0.0, "not negative"))
    return optax.chain(
        optax.scale_by_adam(b1=b1, b2=b2, eps=eps),
        optax.add_decayed_weights(weight_decay, mask=weights),
        optax.scale_by_learning_rate(learning_rate),
    )


def sgd(
    learning_rate: float | Schedule, *, momentum: float = 0.9, weight_decay: float = 1e-4
) -> optax.GradientTransformation:
    """SGD with momentum that decays weights only, the decay in the gradient as in torch.

        mu = momentum * mu + g + weight_decay * p;  p = p - learning_rate(step) * mu

    learning_rate: a number, or a schedule of the step.
    momentum:      in [0, 1).
    weight_decay:  not negative; reaches the leaves of `weights` alone.

    Returns: an `optax.GradientTransformation`; its update needs the parameters.
    Raises:  ValueError for a hyper-parameter out of range.
    Source:  MoCo's optimizer, arXiv:1911.05722.
    """
    _check("sgd", momentum=(momentum, 0.0 <= momentum < 1.0, "in [0, 1)"))
    _check("sgd", weight_decay=(weight_decay, weight_decay >= 0.0, "not negative"))
    decay = optax.add_decayed_weights(weight_decay, mask=weights)
    return optax.chain(decay, optax.trace(momentum), optax.scale_by_learning_rate(learning_rate))


def _check(optimizer: str, **claims: tuple[float, bool, str]) -> None:
    for name, (value, holds, expected) in claims.items():
        if not holds:
            raise ValueError(f"{optimizer}: {name} must be {expected}, got {value}")
