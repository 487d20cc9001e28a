"""Image rotations: a network tells by how much an image was turned.  arXiv:1803.07728

    python -m experiments.rotation --demo                                   # a few minutes on a CPU
    python -m experiments.rotation --data tfds:cifar10 --encoder resnet18_cifar --batch 128 --steps 78000
    python -m experiments.rotation --data tfds:imagenet2012 --out gs://bucket/rotation  # on a pod

The paper: AlexNet, ImageNet: 38.7 % linear on conv4 features; Network-in-Network, CIFAR-10: 91.2 %.
"""

from jssl.methods import rotation
from jssl.optim import sgd
from jssl.run import Experiment, Training, main, recipe, rotation_figure


@recipe(
    encoder="resnet50",
    batch=192,
    steps=200_000,
    warmup=0.0,
    learning_rate=0.1,
    weight_decay=5e-4,
    views="mae",
)
def experiment(training: Training) -> Experiment:
    """Image rotations as an experiment."""
    network = training.network()
    method = rotation(network)
    return training.experiment(
        method,
        optimizer=sgd(training.rate(), weight_decay=training.weight_decay),
        views=training.view_recipe(scale=(0.5, 1.0)),
        network=network,
        figures=rotation_figure(method, training.view()),
    )


# On digits a rotation is often anyone's guess (0, 1, 8, and 6 for 9), but scenes give it away by their light.
demo = dict(
    encoder="resnet10x0.25_cifar",
    data="digits",
    size=24,
    batch=64,
    steps=580,
    warmup=0.05,
    learning_rate=0.1,
)

if __name__ == "__main__":
    main(experiment, demo)
