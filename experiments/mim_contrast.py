"""Masked modelling and contrast over one pass, (1 - mix) L_MIM + mix L_CL.  arXiv:2305.00729

    python -m experiments.mim_contrast --demo                               # a few minutes on a CPU
    python -m experiments.mim_contrast --data tfds:imagenet2012 --out gs://bucket/mix   # on a pod

The paper: ViT-B/16, ImageNet: a mix of about 0.2 is better than either alone, both linear and fine-tuned.
"""

from jssl.methods import mim_contrast
from jssl.models import simclr_head
from jssl.optim import adamw
from jssl.run import Experiment, Training, main, recipe


@recipe(
    encoder="vit_b16",
    batch=1024,
    steps=125_000,
    warmup=0.1,
    learning_rate=1.5e-3,
    weight_decay=0.05,
    views="simclr",
)
def experiment(
    training: Training,
    *,
    mix: float = 0.2,
    ratio: float = 0.5,
    temperature: float = 0.2,
    hidden: int = 2048,
    features: int = 128,
) -> Experiment:
    """The mix as an experiment.

    mix: lambda, the share of the contrast.
    ratio: share of patches hidden.
    temperature: of the contrast.
    hidden: width of the projection's hidden layer.
    features: width of the projection.
    """
    network = training.network(hides="mask")
    head = simclr_head(features, hidden=hidden)
    return training.experiment(
        mim_contrast(network, mix=mix, ratio=ratio, head=head, temperature=temperature),
        optimizer=adamw(training.rate(), weight_decay=training.weight_decay),
        network=network,
    )


demo = dict(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    steps=300,
    warmup=0.1,
    learning_rate=1e-3,
    hidden=256,
    features=64,
)

if __name__ == "__main__":
    main(experiment, demo)
