"""Views of labelled images: strong augmentation, and images mixed with their targets."""

import jax
import jax.numpy as jnp
import optax

from jssl.data.augment.base import chain, normalize, with_probability
from jssl.data.augment.crop import horizontal_flip, random_resized_crop
from jssl.data.augment.mix import cutmix as cut_mixed
from jssl.data.augment.mix import mixup as mixed_up
from jssl.data.augment.mix import random_erasing
from jssl.data.augment.randaugment import randaugment
from jssl.data.views.compose import Views, multi_crop

PLACE = 7  # folded into the key of a step: mixing shares no key with the crops


def fine_tuning(*, size: int = 224, scale=(0.08, 1.0), magnitude: float = 9, erasing: float = 0.0) -> Views:
    """Makes the view of supervised training: crop, flip, RandAugment and random erasing.

    Args:
        size: the side of the view.
        scale: range of the crops' area.
        magnitude: of RandAugment's two operations, each done in half of the cases, up to 10; 0 for none.
        erasing: how often a rectangle of the normalised image is filled with noise.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        MAE, arXiv:2111.06377; RandAugment, arXiv:1909.13719
    """
    crop = random_resized_crop(size=size, scale=scale, method="bicubic")
    strong = [randaugment(count=2, magnitude=magnitude, probability=0.5)] if magnitude else []
    erased = with_probability(erasing, random_erasing())
    return multi_crop(chain(crop, horizontal_flip(), *strong, normalize(), erased))


def mixed(
    views: Views, classes: int, *, mixup: float = 0.8, cutmix: float = 1.0, smoothing: float = 0.1
) -> Views:
    """Mixes the images of a batch and their targets, by mixup or cutmix, one of the two for each batch.

    Args:
        views: (key, batch) -> views with one global view and "label".
        classes: how many there are.
        mixup: alpha of mixup, 0 for none.
        cutmix: alpha of cutmix, 0 for none.
        smoothing: share of each target that is spread over all classes before mixing.
    Returns:
        (key, batch) -> views, and "target" [B, classes].
    References:
        mixup, arXiv:1710.09412; cutmix, arXiv:1905.04899
    """

    def apply(key, batch):
        seen = views(key, batch)
        coin, mix_key = jax.random.split(jax.random.fold_in(key, PLACE))
        label, images = seen["label"], seen["global"][0]
        target = optax.smooth_labels(jax.nn.one_hot(label, classes), smoothing) * (label >= 0)[:, None]
        ways = [(mixed_up, mixup)] * (mixup > 0) + [(cut_mixed, cutmix)] * (cutmix > 0)
        made = [way(mix_key, images, target, alpha=alpha) for way, alpha in ways] or [(images, target)]
        first = jax.random.bernoulli(coin)
        images, target = jax.tree.map(lambda a, b: jnp.where(first, a, b), made[0], made[-1])
        return seen | {"global": images[None], "target": target}

    return apply
