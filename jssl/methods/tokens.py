"""Tokenizers: networks that learn words (discrete tokens) for patches, the targets of BEiT and related
methods.
"""

import jax

from jssl import objectives
from jssl.methods.base import Method
from jssl.methods.frames.siamese import siamese
from jssl.models.masked.tokenizers import discrete_autoencoder
from jssl.objectives import stateless


def tokenizer(encoder, decoder, *, temperature: float = 0.9, uniform_weight: float = 0.0) -> Method:
    """Learns a word (discrete token) for each patch, from which the image is reconstructed.

    Args:
        encoder: images -> `Features` whose tokens are logits of words, such as `TokenEncoder`.
        decoder: (words, grid) -> images, such as `TokenDecoder`.
        temperature: the temperature of the Gumbel-softmax by which words are drawn.
        uniform_weight: weight of the divergence of the words' probabilities from uniform ones.
    Returns:
        A `Method`; views: one global one. Its features are the words' mean probabilities, and their logits.
    References:
        arXiv:2102.12092
    """

    def losses(outputs):
        images, logits = outputs.views["global"], outputs.student["tokens"]
        errors = jax.vmap(objectives.image_error)(outputs.student["image"], images)
        far = jax.vmap(objectives.word_divergence)(logits)
        figures = {"reconstruction": errors.mean(), "divergence": far.mean()}
        return errors + uniform_weight * far, figures | objectives.word_usage(logits)

    return siamese(discrete_autoencoder(encoder, decoder, temperature=temperature), stateless(losses))
