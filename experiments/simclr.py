"""SimCLR: two views of an image find each other among all views of the batch.  arXiv:2002.05709

    python -m experiments.simclr --demo                                     # a few minutes on a CPU
    python -m experiments.simclr --data tfds:cifar10 --encoder resnet18_cifar --batch 512 --steps 19400 \
        --learning-rate 1.0 --temperature 0.5
    python -m experiments.simclr --data tfds:imagenet2012 --out gs://bucket/simclr      # on a pod

The paper: ResNet-50, batch 4096, ImageNet: linear 64.6 % top-1 after 100 epochs (31,200 steps), 69.3 % after 1000;
1.5 hours per 100 epochs on 128 TPU v3 cores.
"""

from jssl.methods import simclr
from jssl.models import simclr_head
from jssl.optim import lars
from jssl.run import Experiment, Training, main, recipe


@recipe(
    encoder="resnet50",
    batch=4096,
    steps=31_200,
    warmup=0.1,
    learning_rate=4.8,
    weight_decay=1e-6,
    views="simclr",
)
def experiment(
    training: Training, *, temperature: float = 0.1, hidden: int = 2048, features: int = 128
) -> Experiment:
    """SimCLR as an experiment.

    temperature: 0.1 on ImageNet, 0.5 on CIFAR-10.
    hidden: width of the projection's hidden layer.
    features: width of the projection.
    """
    network = training.network()
    return training.experiment(
        simclr(network, head=simclr_head(features, hidden=hidden), temperature=temperature),
        optimizer=lars(training.rate(), weight_decay=training.weight_decay),
        network=network,
    )


demo = dict(
    encoder="resnet10x0.25_cifar",
    data="digits",
    size=24,
    views="handwriting",
    batch=128,
    steps=600,
    warmup=0.1,
    learning_rate=4.0,
    temperature=0.2,
    hidden=256,
    features=64,
)

if __name__ == "__main__":
    main(experiment, demo)
