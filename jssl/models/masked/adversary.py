"""A network that generates images, and a discriminator that tells them from real ones."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax

from jssl.models.layers.convolution import Conv
from jssl.models.layers.norms import batch_norm
from jssl.models.network import Network, as_outputs, network, of_part


class Judge(nn.Module):
    """Classifies images as real or generated, [B, H, W, C] -> [B] logits, positive for real.

    Args:
        widths: channels of the layers, each of which halves the map's sides.
        norm: the norm after each of them except the first.
    References:
        arXiv:1604.07379
    """

    widths: Sequence[int] = (64, 128, 256, 512)
    norm: Callable = batch_norm

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        x = images
        for number, width in enumerate(self.widths):
            x = Conv(width, (4, 4), 2, use_bias=number == 0)(x)
            x = self.norm(use_running_average=not train)(x) if number else x
            x = nn.leaky_relu(x, 0.2)
        return nn.Dense(1)(x.reshape(len(x), -1))[:, 0]


def with_adversary(maker, adversary, *, makes: str, real: str | None = None, evaluated=False) -> Network:
    """Adds a discriminator to a network that generates images.

    One sum of losses trains both: the generated images are judged twice, once without a gradient into the
    generator and once without one into the discriminator.

    Args:
        maker: anything `network` takes.
        adversary: images -> [B] logits, positive for real.
        makes: name of the maker's output that is judged.
        real: name of the maker's output that counts as real; None: real images are an input.
        evaluated: whether features are the adversary's instead of the maker's.
    Returns:
        A `Network`, (inputs, real images), or the inputs alone, -> the maker's outputs, the logits `real` and
        `made`, which train the adversary, and the logits `passing`, which train the maker. Its params are the
        maker's and {"adversary"}.
    References:
        arXiv:1604.07379
    """
    net, judge = network(maker), network(adversary)

    def init(key, given):
        inputs, true = given if real is None else (given, None)
        params, statistics = net.init(jax.random.fold_in(key, 0), inputs)
        if real is not None:
            true = net.apply(params, statistics, inputs)[0][real]
        own, seen = judge.init(jax.random.fold_in(key, 1), true)
        return params | {"adversary": own}, statistics | {"adversary": seen}

    def apply(params, statistics, given, **how):
        inputs, true = given if real is None else (given, None)
        outputs, after = net.apply(params, statistics, inputs, **how)
        true = true if real is None else outputs[real]
        made, before = as_outputs(outputs)[makes], statistics["adversary"]
        own, held = params["adversary"], jax.lax.stop_gradient(params["adversary"])
        known, seen = judge.apply(own, before, true, **how)
        false, seen = judge.apply(own, seen, jax.lax.stop_gradient(made), **how)
        passing, _ = judge.apply(held, before, made, **how)
        judged = {"real": known, "made": false, "passing": passing}
        return as_outputs(outputs) | judged, after | {"adversary": seen}

    if evaluated:
        return Network(init, apply, *of_part(judge, "adversary"))
    return Network(init, apply, net.features, net.encoder)
