"""SimMIM: mask tokens enter the encoder, one linear layer predicts the hidden pixels.  arXiv:2111.09886

    python -m experiments.simmim --demo                                     # a few minutes on a CPU
    python -m experiments.simmim --encoder swin_b --size 192 --side 32      # Swin-B
    python -m experiments.simmim --data tfds:imagenet2012 --out gs://bucket/simmim      # on a pod

The paper: ViT-B/16, batch 2048, ImageNet, 800 epochs: fine-tuned 83.8 %, linear 56.7 %; Swin-B 84.0 % fine-tuned.
"""

from jssl.methods import simmim
from jssl.models import RelativePositionBias
from jssl.optim import adamw
from jssl.run import Experiment, Training, main, recipe, reconstruction_figure

VIT = dict(
    positions=None, attention_bias=RelativePositionBias(), layer_scale=0.1, drop_path=0.1
)  # Swin has its own


@recipe(
    encoder="vit_b16",
    batch=2048,
    steps=500_000,
    warmup=0.025,
    learning_rate=8e-4,
    weight_decay=0.05,
    views="mae",
)
def experiment(training: Training, *, side: int = 16, ratio: float = 0.6, unit: int = 32) -> Experiment:
    """SimMIM as an experiment.

    side: pixels that one of the encoder's last tokens covers: the patch of a ViT, 32 for Swin.
    ratio: share hidden.
    unit: side in pixels of what is hidden at once.
    """
    authors = {} if training.encoder.startswith("swin") else VIT
    network = training.network(hides="mask", **authors)
    method = simmim(network, side=side, ratio=ratio, unit=unit)
    return training.experiment(
        method,
        optimizer=adamw(training.rate(), weight_decay=training.weight_decay),
        views=training.view_recipe(scale=(0.67, 1.0)),
        network=network,
        figures=reconstruction_figure(method, training.view(), patch=side),
    )


demo = dict(
    encoder="swin_n",
    data="scenes:color",
    size=24,
    batch=64,
    steps=600,
    warmup=0.1,
    learning_rate=1e-3,
    side=8,
    unit=8,
)

if __name__ == "__main__":
    main(experiment, demo)
