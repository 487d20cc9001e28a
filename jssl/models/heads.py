"""Heads: layers that are trained on top of an encoder and dropped afterwards. Each is a list of layers,
written as in its paper.

The function of a paper's head takes `out`, the width of the output, and `hidden`, the width of the hidden
layers, with the paper's numbers as defaults, and returns a `Head`, [..., D] -> [..., out]. D is the width of
the input.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp  # noqa: F401  used by the examples

from jssl.arrays.vectors import l2_normalize
from jssl.models.layers.initializers import kernel_init, torch_linear
from jssl.models.layers.norms import batch_norm
from jssl.models.layers.transformer import gelu

dense = partial(nn.Dense, kernel_init=torch_linear)


class Head(nn.Module):
    """A sequence of layers, [..., D] -> [..., K].

    Parameters are named by position, layers_0, layers_1, ..., as in torch's Sequential.

    Args:
        layers: Linen modules and plain functions of an array; a BatchNorm uses batch statistics when `train`,
            and a Dropout drops.
    Examples:
        >>> head = Head([dense(8), batch_norm(), nn.relu, dense(4)])
        >>> variables = head.init(jax.random.key(0), jnp.ones((2, 3)))
        >>> head.apply(variables, jnp.ones((2, 3))).shape
        (2, 4)
    """

    layers: Sequence[Callable]

    @property
    def last(self) -> str:
        """The name of the last layer's parameters."""
        return f"layers_{len(self.layers) - 1}"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        for layer in self.layers:
            if isinstance(layer, nn.BatchNorm):
                x = layer(x, use_running_average=not train)
            elif isinstance(layer, nn.Dropout):
                x = layer(x, deterministic=not train)
            else:
                x = layer(x)
        return x


def cut(head: Head, keep: int) -> Head:
    """Keeps the first layers of a head, with their parameters' names; SimCLR v2 is fine-tuned from such a
    part.

    Args:
        head: the whole head.
        keep: how many layers; norms and activations count as layers.
    Returns:
        A `Head`.
    Raises:
        ValueError: for more layers than there are.
    References:
        SimCLR v2, arXiv:2006.10029
    Examples:
        >>> len(cut(simclr_head(layers=3), 3).layers)  # linear, batch norm, ReLU
        3
    """
    if not 0 < keep <= len(head.layers):
        raise ValueError(f"cut: keep must lie between 1 and the head's {len(head.layers)} layers, got {keep}")
    return Head(head.layers[:keep])


def logits(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Computes logits with products in the input's precision and sums in float32, the precision of softmax
    and targets.

    Args:
        x: [..., D].
        kernel: [D, K].
    Returns:
        [..., K], at least float32.
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return jnp.matmul(x, kernel.astype(x.dtype), preferred_element_type=wide)


class WeightNormDense(nn.Module):
    """A linear layer without bias, whose weight vectors have length g: DINO's last layer.

    Args:
        features: outputs K.
        scale_init: the initial g of each output, a learned parameter; None fixes g = 1.
        kernel_init: initial weights, by default torch's, as the authors have it. The length of a weight
            vector has no effect on the output, but the longer it is, the less each update turns the vector.
    References:
        arXiv:1602.07868
    """

    features: int
    scale_init: Callable | None = None
    kernel_init: Callable = torch_linear

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        kernel = l2_normalize(kernel, axis=0)
        if self.scale_init is not None:
            kernel = kernel * self.param("scale", self.scale_init, (self.features,))
        return logits(x, kernel)


class Logits(nn.Module):
    """A linear layer without bias that sums products in float32: DINOv3's last layer.

    Args:
        features: outputs K.
        kernel_init: of the weight.
    References:
        arXiv:2508.10104
    """

    features: int
    kernel_init: Callable = kernel_init

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return logits(x, self.param("kernel", self.kernel_init, (x.shape[-1], self.features)))


class Prototypes(nn.Module):
    """Cosine scores against learned prototypes, [..., D] -> [..., count]; the forward pass normalises
    both.
    """

    count: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", torch_linear, (x.shape[-1], self.count))
        return logits(l2_normalize(x), l2_normalize(kernel, axis=0))


def _mlp(hidden: Sequence[int], out: int, *, bias: bool = False) -> list[Callable]:
    """Linear, batch norm and ReLU for each hidden width, then a linear layer."""
    layers = [layer for width in hidden for layer in (dense(width, use_bias=bias), batch_norm(), nn.relu)]
    return [*layers, dense(out, use_bias=bias)]


plain_norm = partial(batch_norm, use_bias=False, use_scale=False)  # batch norm without parameters


class OverRows(nn.Module):
    """Normalises each feature over all rows, with a learned scale and shift, [N, D] -> [N, D].

    It is a batch norm for rows that are all present at every call, such as those of a dictionary, so it needs
    no running statistics.

    Args:
        epsilon: added to the variance.
    """

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return jax.nn.standardize(x, axis=0, epsilon=self.epsilon) * scale + bias


def obow_generator(out: int, *, hidden: int | None = None) -> Head:
    """Makes OBoW's generator of classifier weights, words [W, C] -> weights [W, out] of length 1; `hidden` is
    twice `out` by default.  arXiv:2012.11552
    """
    first = dense(hidden or 2 * out, use_bias=False)
    return Head([l2_normalize, first, OverRows(), nn.relu, dense(out), l2_normalize])


def simclr_head(out: int = 128, *, hidden: int = 2048, layers: int = 2) -> Head:
    """Makes SimCLR's projection, without ReLU after the last layer; v2 has layers=3.  arXiv:2002.05709,
    arXiv:2006.10029
    """
    return Head([*_mlp([hidden] * (layers - 1), out), batch_norm(use_bias=False)])


def moco_head(out: int = 128, *, hidden: int | None = 2048) -> Head:
    """Makes MoCo v2's projection, linear, ReLU, linear; with hidden=None v1's one linear layer.
    arXiv:2003.04297
    """
    return Head([dense(out)] if hidden is None else [dense(hidden), nn.relu, dense(out)])


def moco_v3_head(out: int = 256, *, hidden: int = 4096, layers: int = 3, last_norm: bool = True) -> Head:
    """Makes MoCo v3's projection or, with layers=2, its prediction head. It ends with a batch norm without
    parameters, except for the prediction of ResNets (last_norm=False).  arXiv:2104.02057
    """
    return Head([*_mlp([hidden] * (layers - 1), out), *([plain_norm()] if last_norm else [])])


def nnclr_head(out: int = 256, *, hidden: int = 2048) -> Head:
    """Makes NNCLR's projection: three layers, batch norm after each, no ReLU at the end.  arXiv:2104.14548"""
    return Head([*_mlp([hidden, hidden], out, bias=True), batch_norm()])


def nnclr_predictor(out: int = 256, *, hidden: int = 4096) -> Head:
    """Makes NNCLR's prediction head: linear, batch norm, ReLU, linear.  arXiv:2104.14548"""
    return Head(_mlp([hidden], out, bias=True))


def sit_head(out: int = 256, *, hidden: int = 4096) -> Head:
    """Makes SiT's projection: three layers with batch norm, ReLU and GELU between.  arXiv:2104.03602"""
    linear = partial(nn.Dense, kernel_init=kernel_init)
    inner: list[Callable] = [linear(hidden), batch_norm(), nn.relu, linear(hidden), batch_norm(), gelu]
    return Head([*inner, linear(out), plain_norm()])


def byol_head(out: int = 256, *, hidden: int = 4096) -> Head:
    """Makes BYOL's projection or prediction head: linear, batch norm, ReLU, linear.  arXiv:2006.07733"""
    return Head([dense(hidden), batch_norm(), nn.relu, dense(out, use_bias=False)])


def simsiam_head(out: int = 2048, *, hidden: int = 2048) -> Head:
    """Makes SimSiam's projection: three layers, with a batch norm without parameters at the end.
    arXiv:2011.10566
    """
    layers = _mlp([hidden, hidden], out)
    return Head([*layers[:-1], dense(out), plain_norm()])


def simsiam_predictor(out: int = 2048, *, hidden: int = 512) -> Head:
    """Makes SimSiam's prediction head, a bottleneck: linear, batch norm, ReLU, linear.  arXiv:2011.10566"""
    return Head([dense(hidden, use_bias=False), batch_norm(), nn.relu, dense(out)])


def barlow_head(out: int = 8192, *, hidden: int = 8192) -> Head:
    """Makes Barlow Twins' expander: three linear layers, batch norm and ReLU between, no bias.
    arXiv:2103.03230
    """
    return Head(_mlp([hidden, hidden], out))


def vicreg_head(out: int = 8192, *, hidden: int = 8192) -> Head:
    """Makes VICReg's expander: like Barlow Twins', with biases in the hidden layers.  arXiv:2105.04906"""
    return Head([*_mlp([hidden, hidden], out, bias=True)[:-1], dense(out, use_bias=False)])


def swav_head(out: int = 128, *, hidden: int = 2048) -> Head:
    """Makes SwAV's projection: linear, batch norm, ReLU, linear; then come `Prototypes`.  arXiv:2006.09882"""
    return Head(_mlp([hidden], out, bias=True))


def slip_head(out: int = 256, *, hidden: int = 4096) -> Head:
    """Makes SLIP's projection for SimCLR: three layers with biases, no batch norm at the end.
    arXiv:2112.12750
    """
    return Head(_mlp([hidden, hidden], out, bias=True))


def dino_head(
    prototypes: int,
    *,
    hidden: int = 2048,
    bottleneck: int = 256,
    layers: int = 3,
    scale_init: Callable | None = None,
    norm: Callable[[], nn.Module] | None = None,
    last: Callable[[int], nn.Module] | None = None,
) -> Head:
    """Makes DINO's head: linear layers with exact GELU between, normalisation to length 1, weight-normalised
    last layer.

    Args:
        prototypes: outputs K.
        hidden: width of the hidden layers.
        bottleneck: width before the last layer.
        layers: linear layers before the last.
        scale_init: as for `WeightNormDense`; None keeps the last layer's g at 1.
        norm: a norm after each hidden layer, such as `batch_norm`, which the paper's convolutional networks
            may have; None: none.
        last: prototypes -> the last layer, such as `Logits`; None: `WeightNormDense`.
    Returns:
        A `Head`, [..., D] -> [..., K].
    References:
        arXiv:2104.14294
    """
    linear = partial(nn.Dense, kernel_init=kernel_init)
    before: list[Callable] = [] if norm is None else [norm()]
    trunk: list[Callable] = []
    for _ in range(layers - 1):
        trunk += [linear(hidden), *before, gelu]
    last = last or partial(WeightNormDense, scale_init=scale_init)
    return Head([*trunk, linear(bottleneck), l2_normalize, last(prototypes)])


def msn_head(out: int = 256, *, hidden: int = 2048) -> Head:
    """Makes MSN's projection: three linear layers, batch norm and exact GELU between.  arXiv:2204.07141"""
    linear = partial(nn.Dense, kernel_init=kernel_init)
    inner: list[Callable] = [linear(hidden), batch_norm(), gelu, linear(hidden), batch_norm(), gelu]
    return Head([*inner, linear(out)])


def clip_head(out: int = 512) -> Head:
    """Makes CLIP's projection into the joint space, one linear layer without bias.  arXiv:2103.00020"""
    init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
    return Head([nn.Dense(out, use_bias=False, kernel_init=init)])


def tile_head(out: int = 1024, *, dropout: float = 0.0) -> Head:
    """Makes the head for each tile of a puzzle: linear, ReLU, dropout.  arXiv:1603.09246"""
    return Head([nn.Dense(out), nn.relu, *([nn.Dropout(dropout)] if dropout else [])])


def count_head(out: int = 1000, *, hidden: int = 4096, layers: int = 3) -> Head:
    """Makes the head that counts: linear and ReLU in turn, with ReLU at the end too, since counts are not
    negative.  arXiv:1708.06734
    """
    widths = [hidden] * (layers - 1) + [out]
    return Head([layer for width in widths for layer in (dense(width), nn.relu)])


def puzzle_head(classes: int, *, hidden: int = 4096, dropout: float = 0.5, norm: bool = False) -> Head:
    """Makes the head for the concatenated tiles of an image: linear, batch norm if `norm`, ReLU, dropout,
    linear.  arXiv:1603.09246, arXiv:1901.09005
    """
    inner: list[Callable] = [nn.Dense(hidden), *([batch_norm()] if norm else []), nn.relu]
    return Head([*inner, *([nn.Dropout(dropout)] if dropout else []), nn.Dense(classes)])


def linear_head(classes: int, *, deviation: float = 0.01) -> Head:
    """Makes one linear layer, to predict classes or rotations, with normal initial weights of the given
    deviation (0: zeros).  arXiv:1803.07728
    """
    return Head([nn.Dense(classes, kernel_init=nn.initializers.normal(deviation))])
