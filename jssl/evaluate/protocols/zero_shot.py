"""Zero-shot classification: an image belongs to the class whose prompts lie nearest."""

import jax
import jax.numpy as jnp

from jssl.arrays.vectors import similarity, unit
from jssl.evaluate.protocols.base import Protocol


def zero_shot_protocol() -> Protocol:
    """Makes the zero-shot protocol: top-1 accuracy of `zero_shot_classify`.

    Returns:
        The `Protocol` "zero_shot" with the metric "top1"; it needs test_embeddings [M, D], prompts [classes,
        T, D] and test_labels [M].
    References:
        arXiv:2103.00020
    """

    def run(test_embeddings, prompts, test_labels):
        found = zero_shot_classify(test_embeddings, prompts).argmax(-1)
        return {"top1": jnp.mean(found == jnp.asarray(test_labels))}

    return Protocol("zero_shot", ("test_embeddings", "prompts", "test_labels"), run)


def zero_shot_classify(images: jax.Array, prompts: jax.Array) -> jax.Array:
    """Computes the cosines of images with classes, each class the mean of its prompts' directions.

    score[b, c] = z_b . w_c,  w_c = normalised mean_t of p_ct, all normalised

    Args:
        images: [B, D] image embeddings.
        prompts: [C, T, D] embeddings of T prompts for each class.
    Returns:
        [B, C]; the prediction is the argmax.
    Raises:
        ValueError: for other ranks or widths that differ.
    References:
        arXiv:2103.00020, section 3.1.4
    Examples:
        >>> prompts = jnp.array([[[1.0, 0.1], [1.0, -0.1]], [[0.0, 1.0], [0.0, 3.0]]])
        >>> zero_shot_classify(jnp.array([[2.0, 0.5], [0.0, 1.0]]), prompts).argmax(-1).tolist()
        [0, 1]
    """
    if images.ndim != 2 or prompts.ndim != 3 or images.shape[-1] != prompts.shape[-1]:
        raise ValueError(
            f"expected images [B, D] and prompts [C, T, D], got {images.shape} and {prompts.shape}"
        )
    return similarity(unit(images), unit(unit(prompts).mean(1)))
