"""Zero-shot classification: an image belongs to the class whose prompts lie nearest."""

import jax

from jssl.arrays.vectors import similarity, unit


def zero_shot_classify(images: jax.Array, prompts: jax.Array) -> jax.Array:
    """Cosines of images with classes, each class the mean of its prompts' directions (an ensemble over templates).

    score[b, c] = z_b . w_c,  w_c = normalised mean_t of p_ct, all normalised

    images:  [B, D] image embeddings. prompts: [C, T, D] embeddings of T prompts for each class.

    Returns: [B, C]; the prediction is the argmax.
    Raises:  ValueError for other ranks or widths that differ.
    Source:  CLIP, arXiv:2103.00020, section 3.1.4.

    >>> import jax.numpy as jnp
    >>> prompts = jnp.array([[[1.0, 0.1], [1.0, -0.1]], [[0.0, 1.0], [0.0, 3.0]]])
    >>> zero_shot_classify(jnp.array([[2.0, 0.5], [0.0, 1.0]]), prompts).argmax(-1).tolist()
    [0, 1]
    """
    if images.ndim != 2 or prompts.ndim != 3 or images.shape[-1] != prompts.shape[-1]:
        raise ValueError(
            f"expected images [B, D] and prompts [C, T, D], got {images.shape} and {prompts.shape}"
        )
    return similarity(unit(images), unit(unit(prompts).mean(1)))
