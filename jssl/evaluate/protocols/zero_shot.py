"""Zero-shot classification: an image belongs to the class whose prompts lie nearest."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.vectors import similarity, unit
from jssl.evaluate.protocols.base import Protocol


def zero_shot_protocol() -> Protocol:
    """Makes the zero-shot protocol: top-1 accuracy of `zero_shot_classify`, and of single templates.

    Returns:
        The `Protocol` "zero_shot"; it needs test_embeddings [M, D], prompts [classes, T, D] and test_labels
        [M]. Its metrics are "top1", with the mean of the T templates' embeddings, and for several templates
        "one_template_top1", the mean accuracy of the templates one by one.
    References:
        arXiv:2103.00020
    """

    def run(test_embeddings, prompts, test_labels):
        labels = jnp.asarray(test_labels)

        def top1(prompts):
            return jnp.mean(zero_shot_classify(test_embeddings, prompts).argmax(-1) == labels)

        alone = [top1(prompts[:, [template]]) for template in range(prompts.shape[1])]
        single = {"one_template_top1": jnp.mean(jnp.stack(alone))} if len(alone) > 1 else {}
        return {"top1": top1(prompts)} | single

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
    images, prompts = check(images=(images, "B D"), prompts=(prompts, "C T D"))
    return similarity(unit(images), unit(unit(prompts).mean(1)))
