"""Barlow Twins: the cross-correlation of two views' embeddings is made the identity.  arXiv:2103.03230

    python -m experiments.barlow_twins --demo                               # a few minutes on a CPU
    python -m experiments.barlow_twins --data tfds:imagenet2012 --out gs://bucket/barlow    # on a pod

The paper: ResNet-50, batch 2048, ImageNet, 1000 epochs: linear 73.2 % top-1; 124 hours on 32 V100.
"""

import optax

from jssl.methods import barlow_twins
from jssl.models import barlow_head
from jssl.optim import biases_and_norms, lars
from jssl.run import Experiment, Training, main, recipe


@recipe(
    encoder="resnet50",
    batch=2048,
    steps=625_000,
    warmup=0.01,
    learning_rate=1.6,
    weight_decay=1.5e-6,
    views="byol",
)
def experiment(
    training: Training, *, off_diagonal_weight: float = 5e-3, features: int = 8192, bias_rate: float = 0.024
) -> Experiment:
    """Barlow Twins as an experiment.

    off_diagonal_weight: of redundancy against invariance.
    bias_rate: learning rate of biases and norms, in shares of the weights'.
    features: width of all three layers of the projection.
    """
    network = training.network()
    head = barlow_head(features, hidden=features)
    slow_biases = optax.masked(optax.scale(bias_rate), biases_and_norms)
    return training.experiment(
        barlow_twins(network, head=head, off_diagonal_weight=off_diagonal_weight),
        optimizer=optax.chain(lars(training.rate(), weight_decay=training.weight_decay), slow_biases),
        network=network,
    )


demo = dict(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    steps=500,
    warmup=0.1,
    learning_rate=0.2,
    features=256,
)

if __name__ == "__main__":
    main(experiment, demo)
