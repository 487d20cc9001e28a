"""Linear segmentation of frozen patch tokens: DINOv2's probe, mean intersection over union."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jssl.evaluate.measures.regions import class_ious, confusion
from jssl.evaluate.protocols.base import Protocol, settings_of
from jssl.evaluate.protocols.patches import (
    PatchProbe,
    at_every_pixel,
    check_dense,
    fit_patches,
    in_patches,
    patch_outputs,
    pieces,
)

NAME = "linear_segmentation"


def segmentation_protocol(**settings) -> Protocol:
    """Makes the protocol of linear segmentation: mean intersection over union of classes, and pixel accuracy.

    Args:
        **settings: Keyword arguments of `fit_patches`, such as steps.
    Returns:
        The `Protocol` "linear_segmentation" with the metrics "miou" and "pixel_accuracy".
    References:
        arXiv:2304.07193, section 7.4
    """

    def run(train_tokens, train_segmentation, test_tokens, test_segmentation):
        train, test = np.asarray(train_segmentation), np.asarray(test_segmentation)
        check_dense(NAME, train_segmentation=(train, train_tokens), test_segmentation=(test, test_tokens))
        classes = _classes(train, test)
        shares = class_shares(train, train_tokens.shape[1], classes=classes)
        probe = fit_patches(train_tokens, shares, shares_cross_entropy, classes, **settings)
        counts = np.zeros((classes, classes), np.int64)
        for some in pieces(len(test), outputs=classes * test[0].size):
            counts += np.asarray(_counts(probe, jnp.asarray(test_tokens[some]), jnp.asarray(test[some])))
        ious = class_ious(counts)
        return {"miou": np.nanmean(ious), "pixel_accuracy": np.trace(counts) / counts.sum()}

    needs = "train_tokens", "train_segmentation", "test_tokens", "test_segmentation"
    return Protocol(NAME, needs, run, main="miou", settings=settings_of(fit_patches, settings, of=NAME))


@functools.partial(jax.jit, static_argnames=("count", "classes"))
def class_shares(labels: jax.Array, count: int, *, classes: int) -> jax.Array:
    """Measures the share of each patch's pixels that each class has.

    Args:
        labels: [M, H, W] integers; pixels of negative labels belong to no class.
        count: Patches N.
        classes: Number of classes.
    Returns:
        [M, N, classes]; a row's sum is the share of pixels with a label.
    """
    cells = in_patches(labels, count)
    return jnp.stack([jnp.mean(cells == label, axis=-1) for label in range(classes)], axis=-1)


def shares_cross_entropy(logits: jax.Array, shares: jax.Array) -> jax.Array:
    """Computes the mean cross-entropy of all labelled pixels, each with the logits of its patch.

    Args:
        logits: [b, N, classes].
        shares: [b, N, classes] as `class_shares`.
    Returns:
        A scalar.
    """
    total = -jnp.sum(shares * jax.nn.log_softmax(logits))
    return total / jnp.maximum(jnp.sum(shares), 1e-6)


@jax.jit
def _counts(probe: PatchProbe, tokens, labels):
    logits = at_every_pixel(patch_outputs(probe, tokens), labels.shape[1:])
    return confusion(jnp.argmax(logits, -1), labels, classes=logits.shape[-1])


def _classes(train, test) -> int:
    """The number of classes, at least two; checks that training masks have all classes of the test masks."""
    found = np.unique(train[train >= 0])
    if len(found) < 2:
        raise ValueError(f"{NAME}: it needs training masks of at least two classes, they have {len(found)}")
    missing = np.setdiff1d(test[test >= 0], found)
    if len(missing):
        raise ValueError(f"{NAME}: test masks have class {missing[0]}, which no training mask has")
    return int(train.max()) + 1
