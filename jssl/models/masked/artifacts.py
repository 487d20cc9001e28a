"""Images with artifacts: the feature map of an auto-encoder is damaged, repaired and decoded."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.arrays.trees import cast
from jssl.models.features import Features
from jssl.models.freezing import frozen
from jssl.models.layers.convolution import Conv
from jssl.models.layers.norms import batch_norm
from jssl.models.network import Network, network


def _leaky(x):
    return nn.leaky_relu(x, 0.2)  # TensorFlow's own slope


class AutoEncoder(nn.Module):
    """Encodes images as a feature map, with half the sides for each entry of `widths`, and decodes it.

    Args:
        widths: channels of the maps, the largest map first.
        stem_width: channels before the first.
    References:
        arXiv:1806.05024; sjenni/LearningToSpotArtifacts, models/AutoEncoder.py
    """

    widths: Sequence[int] = (64, 128, 256, 512)
    stem_width: int = 32

    def setup(self) -> None:
        wide = (self.stem_width, *self.widths)
        self.downs = [Conv(self.stem_width, (3, 3)), *(Conv(width, (2, 2), 2) for width in self.widths)]
        self.down_norms = [batch_norm() for _ in wide]
        self.ups = [Conv(width, (3, 3)) for width in wide[-2::-1]]
        self.up_norms = [batch_norm() for _ in self.widths]
        self.last = Conv(3, (3, 3))

    def encode(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        """Encodes images as a map, [B, H, W, 3] in [-1, 1] -> [B, h, w, D]."""
        x = images
        for down, norm in zip(self.downs, self.down_norms, strict=True):
            x = _leaky(norm(down(x), use_running_average=not train))
        return x

    def raise_map(self, x: jax.Array, stage: int, *, train: bool = False) -> jax.Array:
        """Decodes a map to the next one, with twice its sides."""
        x = jax.image.resize(x, (len(x), 2 * x.shape[1], 2 * x.shape[2], x.shape[3]), "bilinear")
        return _leaky(self.up_norms[stage](self.ups[stage](x), use_running_average=not train))

    def paint(self, x: jax.Array) -> jax.Array:
        """Decodes the largest map to an image in [-1, 1]."""
        return jnp.tanh(self.last(x))

    def __call__(self, images: jax.Array, *, train: bool = False) -> Features:
        """Encodes and decodes images.

        Args:
            images: [B, H, W, 3] in [-1, 1], sides multiples of 2 to the number of widths.
            train: whether norms use the batch's statistics and update the running ones.
        Returns:
            Features(cls [B, D], tokens [B, N, D]) of the map, with the inner value "image".
        """
        x = encoded = self.encode(images, train=train)
        for stage in range(len(self.widths)):
            x = self.raise_map(x, stage, train=train)
        tokens = encoded.reshape(len(encoded), -1, encoded.shape[-1])
        return Features(tokens.mean(1), tokens, {"image": self.paint(x)})


class Repair(nn.Module):
    """Changes a map where it was damaged, and nowhere else, [B, h, w, D] -> [B, h, w, D]."""

    @nn.compact
    def __call__(self, x: jax.Array, kept: jax.Array, *, train: bool = False) -> jax.Array:
        """Repairs a map.

        Args:
            x: [B, h, w, D].
            kept: [B, h, w, 1], 1 where the map is undamaged, 0 where it is damaged.
            train: as for `AutoEncoder`.
        Returns:
            The map.
        """
        y = Conv(x.shape[-1], (3, 3))(jnp.concatenate([x, kept], axis=-1))
        y = _leaky(batch_norm(use_running_average=not train)(y))
        return x + (1 - kept) * Conv(x.shape[-1], (3, 3))(y)


def damaged(x: jax.Array, kept: jax.Array) -> jax.Array:
    """Replaces a map's damaged points by the mean of their 3 x 3 neighbourhoods.

    Args:
        x: [B, h, w, D].
        kept: [B, h, w, 1], 1 where points are undamaged.
    Returns:
        [B, h, w, D].
    Examples:
        >>> damaged(jnp.ones((1, 3, 3, 1)), jnp.zeros((1, 3, 3, 1))).ravel()[4].item()
        1.0
    """
    around = nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)
    return kept * x + (1 - kept) * around


def artifacts(autoencoder: AutoEncoder, variables=None, *, drawn: bool = False) -> Network:
    """Makes a network that damages and repairs the map of a frozen auto-encoder.

    Args:
        autoencoder: the module.
        variables, drawn: its weights, as for `frozen`.
    Returns:
        A `Network`, (images [B, H, W, 3], kept [B, h, w, 1]) -> {"clean": images decoded from undamaged maps,
        "image": images decoded from damaged and repaired maps}, with params {"repair"}.
    References:
        arXiv:1806.05024
    """
    taught = frozen(autoencoder, variables, drawn=drawn)
    repair, stages = network(Repair()), len(autoencoder.widths)

    def decode(held, x, fix=lambda stage, x: x):
        for stage in range(stages):
            x = autoencoder.apply(held, fix(stage, x), stage, method="raise_map")
        return autoencoder.apply(held, fix(stages, x), method="paint")

    def weights(statistics, dtype):
        held = statistics["taught"]["frozen"]
        return {**held, "params": cast(held["params"], dtype)}

    def masks(kept, size):
        return jnp.repeat(jnp.repeat(kept, size, axis=1), size, axis=2)

    def init(key, given):
        images, kept = given
        _, held = taught.init(jax.random.fold_in(key, 0), images)
        params, seen = {}, {}

        def fix(stage, x):
            stage_key = jax.random.fold_in(key, 1 + stage)
            params[f"stage_{stage}"], seen[f"stage_{stage}"] = repair.init(
                stage_key, x, masks(kept, 2**stage)
            )
            return x

        held_now = weights({"taught": held}, images.dtype)
        decode(held_now, autoencoder.apply(held_now, images, method="encode"), fix)
        return {"repair": params}, {"taught": held, "repair": seen}

    def apply(params, statistics, given, **how):
        images, kept = given
        held, seen = weights(statistics, images.dtype), {}
        kept = kept.astype(images.dtype)
        encoded = autoencoder.apply(held, images, method="encode")

        def fix(stage, x):
            name = f"stage_{stage}"
            own = params["repair"][name], statistics["repair"][name]
            x, seen[name] = repair.apply(*own, x, masks(kept, 2**stage), **how)
            return x

        made = decode(held, damaged(encoded, kept), fix)
        clean = jax.lax.stop_gradient(decode(held, encoded))
        return {"clean": clean, "image": made}, statistics | {"repair": seen}

    return Network(init, apply, taught.features)
