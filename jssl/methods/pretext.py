"""Pretext tasks: a transform of the image makes the label."""

import jax
import jax.numpy as jnp

from jssl.data.augment.geometry import quarter_turns
from jssl.methods.base import Method
from jssl.methods.frames.pretext import pretext
from jssl.methods.pairs import classified
from jssl.models.headed import with_heads
from jssl.models.heads import linear_head
from jssl.models.network import network


def rotations(keys, images):
    """Turns every image by 0, 90, 180 and 270 degrees, its four rotations side by side.

    Args:
        keys: unused; nothing is drawn.
        images: [B, H, W, C], H = W.
    Returns:
        ([4 B, H, W, C], {"rotation": [4 B] int32}), label i being i * 90 degrees counter-clockwise.
    Raises:
        ValueError: where the images are not square.
    """
    turns = jnp.tile(jnp.arange(4), len(images))
    return quarter_turns(jnp.repeat(images, 4, 0), turns), {"rotation": turns}


def rotation(encoder, *, head=None) -> Method:
    """Predicts by how much an image was turned.

    Args:
        encoder: anything `network` takes.
        head: [B, D] -> [B, 4], linear by default.
    Returns:
        A `Method`; views: one global one. The metric `accuracy` is that of classifying the rotations.
    References:
        arXiv:1803.07728
    """
    model = with_heads(encoder, rotation=head or linear_head(4))
    return pretext(model, classified("rotation"), transform=rotations)


def predicted_rotations(method: Method, state, images, *, head=None) -> jax.Array:
    """Asks a trained network by how much each image, in its four rotations, was turned.

    Args:
        method, state: of `rotation` and training.
        images: [B, H, W, C] as the evaluation view makes them.
        head: as given to `rotation`.
    Returns:
        [4, B], quarter turns from 0 to 3; row i should be i.
    """
    turned, _ = rotations(None, images)
    features = method.features(state.params, state.teacher, state.memory, turned).cls
    own = state.params["rotation"], state.memory["statistics"]["rotation"]
    logits, _ = network(head or linear_head(4)).apply(*own, features)
    return jnp.argmax(logits, -1).reshape(-1, 4).T
