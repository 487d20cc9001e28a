"""Barlow Twins: the cross-correlation of two views' embeddings is made the identity.  arXiv:2103.03230

    python -m experiments.barlow_twins --demo                               # a few minutes on a CPU
    python -m experiments.barlow_twins --data tfds:imagenet2012 --out gs://bucket/barlow    # on a pod

The paper: ResNet-50, batch 2048, ImageNet, 1000 epochs: linear 73.2 % top-1; 124 hours on 32 V100.
"""

from jssl.experiment import Experiment, Training, main, recipe
from jssl.methods import barlow_twins
from jssl.models import barlow_head
from jssl.optim import lars


@recipe(encoder="resnet50", batch=2048, steps=625_000, warmup=0.01, learning_rate=1.6, weight_decay=1.5e-6, views="byol")
def experiment(training: Training, *, off_diagonal_weight: float = 5e-3, features: int = 8192) -> Experiment:
    """Barlow Twins as an experiment.

    off_diagonal_weight: of redundancy against invariance.
    features: width of all three layers of the projection.
    """
    network = training.network()
    head = barlow_head(features, hidden=features)
    return training.experiment(
        barlow_twins(network, head=head, off_diagonal_weight=off_diagonal_weight),
        optimizer=lars(training.rate(), weight_decay=training.weight_decay),
        network=network,
    )


demo = dict(
    encoder="resnet10x0.25_cifar", data="scenes:color", size=24, views="crops", batch=64,
    steps=500, warmup=0.1, learning_rate=0.2, features=256,
)  # fmt: skip

if __name__ == "__main__":
    main(experiment, demo)
