"""SelfAugment's probe: it predicts the rotation of an image from frozen features, and needs no labels."""

import numpy as np

from jssl.data.splits import evenly
from jssl.evaluate.protocols.base import Protocol, settings_of
from jssl.evaluate.protocols.linear import linear_probe


def self_augment(*, images: int = 2000, steps: int = 500, **settings) -> Protocol:
    """Makes the rotation probe: a linear layer predicts which of four rotations an image has.

    Its accuracy ranks augmentations as accuracy with labels does; the contrastive loss does not.

    Args:
        images: The most images used of each split.
        steps: Of `linear_probe`.
        **settings: Further keyword arguments of `linear_probe`.
    Returns:
        The `Protocol` "self_augment" with the metric "top1"; chance is 1/4. It needs `train_images` and
        `test_images`, uint8 [N, H, W, C] and square, and `encode`: images -> [N, D].
    Raises:
        ValueError: for a setting that the probe does not have.
    References:
        arXiv:2009.07724
    """
    probe = settings_of(linear_probe, {"steps": steps} | settings, of="self_augment")

    def run(train_images, test_images, encode):
        (train, turns), (test, test_turns) = (
            _turned(part[evenly(len(part), images)], encode) for part in (train_images, test_images)
        )
        return {"top1": linear_probe(train, turns, test, test_turns, classes=4, **probe).accuracy}

    needs = "train_images", "test_images", "encode"
    return Protocol("self_augment", needs, run, settings={"images": images} | probe)


def _turned(images, encode):
    """Features [4 N, D] of each image in its four rotations, and the number of quarter turns of each."""
    images = np.asarray(images)
    if images.shape[1] != images.shape[2]:
        raise ValueError(f"self_augment turns square images, got {images.shape[1]} x {images.shape[2]}")
    found = [np.asarray(encode(np.rot90(images, turns, axes=(1, 2)))) for turns in range(4)]
    return np.concatenate(found), np.repeat(np.arange(4), len(images))
