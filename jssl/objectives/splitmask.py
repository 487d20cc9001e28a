"""SplitMask: each half of an image's patches predicts the words (discrete tokens) of the other half, and the
two halves are matched.
"""

from functools import partial

import jax
import jax.numpy as jnp

from jssl.arrays.distributions import entropy
from jssl.objectives.base import Objective, named, stateless
from jssl.objectives.contrastive import symmetric_info_nce
from jssl.objectives.reconstruction import masked_token_cross_entropy


def words_of_halves(name: str = "patch", rest: str = "patch_rest") -> Objective:
    """Makes the objective of words: the cross entropy of each half's predictions with the words of the other
    half, summed.

    It reads `student[name]` [V, B, N, K], predicted from the patches that the mask shows, student[rest],
    predicted from those that it hides, `target[name]` [V, B, N] and the mask [V, B, N].

    Args:
        name: the name of the logits from the visible half, and of the words.
        rest: the name of the logits from the hidden half.
    Returns:
        An `Objective` without memory; metric unigram, the entropy of the batch's words, which is the loss of
        one half that only knows the words' frequencies.
    Raises:
        ValueError: for a missing name, or other shapes.
    References:
        SplitMask, arXiv:2112.10740
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> logits, words = jnp.zeros((1, 2, 4, 8)), jnp.zeros((1, 2, 4), int)  # eight words, all as likely
        >>> mask = jnp.zeros((1, 2, 4), bool).at[..., :2].set(True)
        >>> outputs = Outputs({"patch": logits, "patch_rest": logits}, {"patch": words}, mask)
        >>> round(float(words_of_halves().apply((), outputs, 0)[0]), 4)  # 2 log 8
        4.1589
    """

    def losses(outputs):
        logits, words = named(outputs.student, name, "student"), named(outputs.target, name, "target")
        told = jax.vmap(masked_token_cross_entropy)
        shown = told(logits, words, outputs.mask)
        hidden = told(named(outputs.student, rest, "student"), words, ~outputs.mask)
        counts = jnp.bincount(words.reshape(-1), length=logits.shape[-1])
        return shown + hidden, {"unigram": entropy(counts / words.size)}

    return stateless(losses)


def match_of_halves(name: str = "image", rest: str = "image_rest", *, temperature=0.2) -> Objective:
    """Makes the objective of images: a contrastive loss between the vectors of an image's two halves.

    It reads student[name] and student[rest], [V, B, D].

    Args:
        name: the name of the vectors of the visible halves.
        rest: the name of the vectors of the hidden halves.
        temperature: T.
    Returns:
        An `Objective` that remembers nothing.
    Raises:
        ValueError: for a missing name, other shapes, or a batch of one.
    References:
        SplitMask, arXiv:2112.10740
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> images = jnp.eye(3)[None]  # halves that are told apart
        >>> outputs = Outputs({"image": images, "image_rest": images})
        >>> round(float(match_of_halves(temperature=0.01).apply((), outputs, 0)[0]), 4)
        0.0
    """

    def losses(outputs):
        pairs = (named(outputs.student, one, "student") for one in (name, rest))
        return jax.vmap(partial(symmetric_info_nce, logit_scale=1 / temperature))(*pairs)

    return stateless(losses)
