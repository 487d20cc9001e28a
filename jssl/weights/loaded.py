"""Networks loaded from a file, with their variables, and how to use them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jssl.models.features import Features
from jssl.weights.preprocessing import Preprocess

Networks = Mapping[str, tuple[nn.Module, Any]]  # name -> (module, variables)


@dataclass(frozen=True)
class Loaded:
    """Published networks with their weights.

    Args:
        encoder: A Linen module, inputs -> `Features`.
        variables: {"params": ..., "batch_stats": ...} of the encoder.
        heads: {name: (module, variables)}: projections, decoders, logits, prototypes, the text tower.
        preprocess: uint8 images or a path -> the encoder's input.
        family: As `weights.families` lists it.
        part: Which of the file's networks this is, such as "teacher"; None where the file holds one.
        config: What config.json holds; {} without one; of a run also the step of its checkpoint.
        citation: The paper.
        licence: Of the weights.
        others: The file's other networks, {part: {"encoder": (module, variables), head: ...}}.
        kept: Tensors of the file that no network uses, by their published names; `save` writes them back.
        dtypes: Published names of floats that are not float32, as `save` writes them.
        layout: How the file names its networks, for `save`.
    """

    encoder: nn.Module
    variables: Any
    heads: Networks = field(default_factory=dict)
    preprocess: Callable[[Any], jax.Array] = field(default_factory=Preprocess)
    family: str = "jssl"
    part: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    citation: str = ""
    licence: str = ""
    others: Mapping[Any, Networks] = field(default_factory=dict)
    kept: Mapping[str, np.ndarray] = field(default_factory=dict)
    dtypes: Mapping[str, Any] = field(default_factory=dict)
    layout: Any = None

    def features(self, inputs: Any, mask: Any = None) -> Features:
        """Encodes inputs.

        Args:
            inputs: Normalised floats: images [B, H, W, C], films [B, T, H, W, C] or spectrograms [B, T, M].
            mask: [B, N] or [B, rows, columns], True where the mask token takes a patch's place.
        Returns:
            Features(cls [B, D], tokens [B, N, D]), without prefix tokens.
        Raises:
            ValueError: for a mask where the file has no mask token, or inputs that do not fit.
        """
        x = jnp.asarray(inputs)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(
                f"features takes normalised floats, got {x.dtype}; call preprocess on them first"
            )
        if mask is None:
            return _encode(self.encoder, self.variables, x)
        if "mask_token" not in self.variables["params"]:
            raise ValueError(f"this file of {self.family} has no mask token; leave the mask out")
        hidden = jnp.asarray(mask).astype(bool).reshape(len(x), -1)
        return _encode(self.encoder, self.variables, x, mask=hidden)

    def image(self, images: Any) -> jax.Array:
        """Embeds images in the space they share with texts: [B, D], not yet of unit length.

        Args:
            images: [B, H, W, C] floats, normalised already.
        Raises:
            ValueError: where the file does not hold two towers.
        """
        return self.joint(self.features(images).cls)

    def joint(self, features: Any) -> jax.Array:
        """Projects features of images to the space they share with texts: [B, D], not yet of unit length.

        Args:
            features: [B, D], the encoder's `cls`.
        Raises:
            ValueError: where the file does not hold two towers.
        """
        self._towers()
        return self._projected("image_projection", jnp.asarray(features))

    def text(self, ids: Any) -> jax.Array:
        """Embeds texts in the space they share with images: [B, D], not yet of unit length.

        Args:
            ids: [B, L] int tokens.
        Raises:
            ValueError: where the file holds no text tower.
        """
        module, variables = self._towers()
        return self._projected("text_projection", _encode(module, variables, jnp.asarray(ids)).cls)

    def _towers(self) -> tuple[nn.Module, Any]:
        if "text" not in self.heads:
            raise ValueError(
                f"{self.family} has no text tower; image() and text() need CLIP, OpenCLIP or SigLIP"
            )
        return self.heads["text"]

    def _projected(self, name: str, x: jax.Array) -> jax.Array:
        return _encode(*self.heads[name], x) if name in self.heads else x


@partial(jax.jit, static_argnums=0)
def _encode(module: nn.Module, variables: Any, *inputs: jax.Array, **named: Any) -> Any:
    return module.apply(variables, *inputs, **named)
