"""Fine-tuning as a protocol: the numbers of a paper, for the experiment `fine_tune` that carries it out."""

from typing import Any

from jssl.evaluate.protocols.base import Protocol


def fine_tune_mae(**changes: Any) -> Protocol:
    """Makes MAE's fine-tuning: AdamW with layer decay, strong augmentation, mixing, 100 epochs.

    Args:
        **changes: Settings of `experiments.fine_tune` to change, such as epochs=10; its defaults are MAE's.
    Returns:
        The `Protocol` "fine_tune_mae" with the metric "top1". It needs `fine_tune`: settings -> {metric:
        value}.
    References:
        arXiv:2111.06377; facebookresearch/mae, FINETUNE.md
    """
    return _fine_tuning("fine_tune_mae", changes)


def fine_tune_beit(**changes: Any) -> Protocol:
    """Makes BEiT's fine-tuning of ViT-B: a higher rate for the whole batch, a longer warm-up.

    Everything else is as for MAE, whose classifier begins as small as BEiT's.

    Args:
        **changes: Settings of `experiments.fine_tune` to change.
    Returns:
        The `Protocol` "fine_tune_beit" with the metric "top1". It needs what `fine_tune_mae` needs.
    References:
        arXiv:2106.08254; microsoft/unilm, beit/get_started_for_image_classification.md
    """
    beit = dict(batch=1024, epochs=100, learning_rate=4e-3, rate_per=1024, warmup=20, layer_decay=0.65)
    beit |= dict(final_rate=1e-6 / 4e-3)
    return _fine_tuning("fine_tune_beit", beit | changes)


def _fine_tuning(name: str, settings: dict[str, Any]) -> Protocol:
    return Protocol(name, ("fine_tune",), lambda fine_tune: fine_tune(settings), settings=settings)
