"""Linear probes with all the numbers of a paper: DINO's, DINOv2's grid, MoCo's and MAE's.

They are trained on frozen features of the evaluation view; the authors crop and mirror training images anew
in every epoch. They report the last epoch; some authors report the best one on the test images.
"""

from collections.abc import Sequence
from functools import partial
from itertools import product

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from jssl.arrays.checks import check_positive
from jssl.evaluate.protocols.base import LABELLED, Protocol
from jssl.evaluate.protocols.heads import train_heads
from jssl.models.heads import Head, linear_head
from jssl.optim import by_epoch, cosine, lars, sgd, warmup_cosine

LAYERED = ("train_layers", "train_labels", "test_layers", "test_labels", "classes")


def linear_dino(
    *,
    blocks: int = 4,
    mean: bool = False,
    learning_rate: float = 1e-3,
    epochs: int = 100,
    batch: int = 1024,
    momentum: float = 0.9,
    seed: int = 0,
) -> Protocol:
    """Makes DINO's linear probe: class tokens of the last blocks, SGD, a cosine that moves once an epoch.

    Args:
        blocks: How many last blocks' class tokens are read, at most all: 4 for ViT-S, 1 for ViT-B.
        mean: Read the mean of the last block's patches too, as for ViT-B.
        learning_rate: For a batch of 256.
        epochs: Passes over the training rows.
        batch: Rows per step.
        momentum: Of SGD, without weight decay.
        seed: Of initial weights and order.
    Returns:
        The `Protocol` "linear_dino" with the metric "top1".
    References:
        arXiv:2104.14294; facebookresearch/dino, eval_linear.py
    """
    settings = dict(
        blocks=blocks,
        mean=mean,
        learning_rate=learning_rate,
        epochs=epochs,
        batch=batch,
        momentum=momentum,
        seed=seed,
    )
    check_positive(blocks=blocks, learning_rate=learning_rate, epochs=epochs, batch=batch)

    def run(train_layers, train_labels, test_layers, test_labels, classes):
        columns = _columns(train_layers, blocks, mean)
        train, test = (_flat(x)[:, columns] for x in (train_layers, test_layers))
        size = min(batch, len(train))
        whole = len(train) // size
        rate = by_epoch(cosine(learning_rate * size / 256, 0.0, epochs * whole), whole)
        heads = train_heads(
            linear_head(classes),
            train,
            train_labels,
            optimizer=sgd(rate, momentum=momentum, weight_decay=0.0),
            steps=epochs * whole,
            batch=size,
            seed=seed,
        )
        return {"top1": heads.top1(test, test_labels)[0]}

    return Protocol("linear_dino", LAYERED, run, settings=settings)


def linear_dinov2(
    *,
    learning_rates: Sequence[float] = (
        *(1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3),
        *(1e-2, 2e-2, 5e-2, 0.1),
    ),
    blocks: Sequence[int] = (1, 4),
    mean: Sequence[bool] = (False, True),
    steps: int = 12_500,
    batch: int = 1024,
    momentum: float = 0.9,
    validation: float = 0.1,
    seed: int = 0,
) -> Protocol:
    """Makes DINOv2's linear probe: a head for every rate, number of blocks and pooling, all trained together.

    A head reads its own columns of one array, so that a step is two matrix products for all heads. Held-out
    training rows choose the head that is tested; the authors choose it on ImageNet's test set.

    Args:
        learning_rates: One side of the grid, for a batch of 256.
        blocks: Another side: how many last blocks' class tokens are read, at most all.
        mean: The third side: whether the mean of the last block's patches is read too.
        steps: Optimizer steps, with a cosine to 0 over them.
        batch: Rows per step.
        momentum: Of SGD, without weight decay.
        validation: Share of the training rows that is held out to choose.
        seed: Of initial weights, order and held-out rows.
    Returns:
        The `Protocol` "linear_dinov2" with the metrics "top1", "validation_top1", and the head's own
        "rate", "blocks" and "mean".
    References:
        arXiv:2304.07193; facebookresearch/dinov2, eval/linear.py
    """
    settings = dict(
        learning_rates=tuple(learning_rates),
        blocks=tuple(blocks),
        mean=tuple(mean),
        steps=steps,
        batch=batch,
        momentum=momentum,
        validation=validation,
        seed=seed,
    )
    grid = list(product(blocks, mean, learning_rates))
    if not grid:
        raise ValueError("linear_dinov2: learning_rates, blocks and mean must each hold at least one value")

    def run(train_layers, train_labels, test_layers, test_labels, classes):
        order = np.random.default_rng(seed).permutation(len(train_labels))
        held, rest = np.split(order, [round(validation * len(order))])
        if not (len(held) and len(rest)):
            raise ValueError(f"linear_dinov2: validation = {validation} of {len(order)} rows leaves none")
        train, test, labels = _flat(train_layers), _flat(test_layers), np.asarray(train_labels)
        size = min(batch, len(rest))
        heads = train_heads(
            linear_head(classes),
            train,
            labels,
            optimizer=sgd(cosine(size / 256, 0.0, steps), momentum=momentum, weight_decay=0.0),
            steps=steps,
            batch=size,
            rates=[rate for _, _, rate in grid],
            rows=rest,
            columns=np.stack([_columns(train_layers, count, also) for count, also, _ in grid]),
            seed=seed,
        )
        found = heads.top1(train[held], labels[held])
        best = int(np.argmax(found))
        count, also, rate = grid[best]
        own = {"rate": rate, "blocks": count, "mean": float(also)}
        return {"top1": heads.only(best).top1(test, test_labels)[0], "validation_top1": found[best]} | own

    return Protocol("linear_dinov2", LAYERED, run, settings=settings)


def linear_moco(
    *,
    learning_rate: float = 30.0,
    drops: Sequence[int] = (60, 80),
    epochs: int = 100,
    batch: int = 256,
    momentum: float = 0.9,
    seed: int = 0,
) -> Protocol:
    """Makes MoCo's linear probe: SGD at a rate of 30, which falls to a tenth twice.

    Args:
        learning_rate: At the start.
        drops: Epochs after which it falls to a tenth.
        epochs: Passes over the training rows.
        batch: Rows per step.
        momentum: Of SGD, without weight decay.
        seed: Of initial weights and order.
    Returns:
        The `Protocol` "linear_moco" with the metric "top1".
    References:
        arXiv:1911.05722; facebookresearch/moco, main_lincls.py
    """
    settings = dict(
        learning_rate=learning_rate,
        drops=tuple(drops),
        epochs=epochs,
        batch=batch,
        momentum=momentum,
        seed=seed,
    )
    check_positive(learning_rate=learning_rate, epochs=epochs, batch=batch)

    def run(train_features, train_labels, test_features, test_labels, classes):
        size = min(batch, len(train_features))
        whole = len(train_features) // size

        def rate(step):
            fallen = sum(jnp.asarray(step >= drop * whole, jnp.float32) for drop in drops)
            return learning_rate * 0.1**fallen

        heads = train_heads(
            linear_head(classes),
            train_features,
            train_labels,
            optimizer=sgd(by_epoch(rate, whole), momentum=momentum, weight_decay=0.0),
            steps=epochs * whole,
            batch=size,
            seed=seed,
        )
        return {"top1": heads.top1(test_features, test_labels)[0]}

    return Protocol("linear_moco", LABELLED, run, settings=settings)


def linear_mae(
    *,
    learning_rate: float = 0.1,
    epochs: int = 90,
    warmup: int = 10,
    batch: int = 16_384,
    momentum: float = 0.9,
    trust_coefficient: float = 1e-3,
    seed: int = 0,
) -> Protocol:
    """Makes MAE's linear probe: batch norm without scale and shift before the layer, LARS, a warm-up.

    On few training rows its few steps move little: give a higher rate or more epochs there.

    Args:
        learning_rate: For a batch of 256.
        epochs: Passes over the training rows.
        warmup: Epochs in which the rate rises.
        batch: Rows per step.
        momentum: Of LARS, without weight decay.
        trust_coefficient: Of LARS.
        seed: Of initial weights and order.
    Returns:
        The `Protocol` "linear_mae" with the metric "top1".
    Raises:
        ValueError: where the warm-up does not end before the last epoch.
    References:
        arXiv:2111.06377; facebookresearch/mae, main_linprobe.py
    """
    settings = dict(
        learning_rate=learning_rate,
        epochs=epochs,
        warmup=warmup,
        batch=batch,
        momentum=momentum,
        trust_coefficient=trust_coefficient,
        seed=seed,
    )
    check_positive(learning_rate=learning_rate, epochs=epochs, batch=batch)
    if not 0 <= warmup < epochs:
        raise ValueError(f"linear_mae: warmup is {warmup}, expected fewer epochs than all {epochs}")

    def run(train_features, train_labels, test_features, test_labels, classes):
        size = min(batch, len(train_features))
        whole = len(train_features) // size
        rate = warmup_cosine(learning_rate * size / 256, steps=epochs * whole, warmup=warmup * whole)
        exact = partial(nn.BatchNorm, use_fast_variance=False)  # exact for features of any mean
        norm = exact(momentum=0.9, epsilon=1e-6, use_scale=False, use_bias=False)
        layer = nn.Dense(classes, kernel_init=nn.initializers.normal(0.01))
        heads = train_heads(
            Head([norm, layer]),
            train_features,
            train_labels,
            optimizer=lars(rate, momentum=momentum, weight_decay=0.0, trust_coefficient=trust_coefficient),
            steps=epochs * whole,
            batch=size,
            seed=seed,
        )
        return {"top1": heads.top1(test_features, test_labels)[0]}

    return Protocol("linear_mae", LABELLED, run, settings=settings, standardises=True)


def _flat(layers) -> np.ndarray:
    """[N, L + 1, D] -> [N, (L + 1) D]."""
    layers = np.asarray(layers)
    return layers.reshape(len(layers), -1)


def _columns(layers, blocks: int, mean: bool) -> np.ndarray:
    """Which of the flat columns a head reads: class tokens of the last blocks, and perhaps the mean patch."""
    chosen = np.zeros(np.shape(layers)[1:], bool)
    chosen[:-1][-blocks:] = True
    chosen[-1] = mean
    return chosen.ravel()
