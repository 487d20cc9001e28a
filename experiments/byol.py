"""BYOL: a predictor on one view finds a slow teacher's projection of the other, without negatives.  arXiv:2006.07733

    python -m experiments.byol --demo                                       # a few minutes on a CPU
    python -m experiments.byol --data tfds:imagenet2012 --out gs://bucket/byol          # on a pod

The paper: ResNet-50, batch 4096, ImageNet, 1000 epochs: linear 74.3 % top-1; 8 hours on 512 TPU v3 cores.
"""

from jssl.methods import byol
from jssl.models import byol_head
from jssl.optim import lars, teacher_momentum
from jssl.run import Experiment, Training, main, recipe


@recipe(
    encoder="resnet50",
    batch=4096,
    steps=312_000,
    warmup=0.01,
    learning_rate=3.2,
    weight_decay=1.5e-6,
    views="byol",
)
def experiment(
    training: Training, *, momentum: float = 0.996, hidden: int = 4096, features: int = 256
) -> Experiment:
    """BYOL as an experiment.

    momentum: of the teacher at the start; it rises to 1.
    hidden: width of the hidden layers of projection and prediction.
    features: width of projection and prediction.
    """
    network = training.network()
    return training.experiment(
        byol(
            network,
            head=byol_head(features, hidden=hidden),
            predictor=byol_head(features, hidden=hidden),
            momentum=teacher_momentum(momentum, training.steps),
        ),
        optimizer=lars(training.rate(), weight_decay=training.weight_decay),
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
    learning_rate=0.5,
    momentum=0.99,
    hidden=256,
    features=64,
)

if __name__ == "__main__":
    main(experiment, demo)
