"""SwAV: each view's balanced assignment to prototypes is predicted from the other views.  arXiv:2006.09882

    python -m experiments.swav --demo                                       # a few minutes on a CPU
    python -m experiments.swav --data tfds:imagenet2012 --out gs://bucket/swav          # on a pod

The paper: ResNet-50, batch 4096, 2 x 224 + 6 x 96, ImageNet: linear 75.3 % top-1 after 800 epochs (49 hours on 64 V100),
72.1 % after 100; with batch 256 and a queue of 3,840, 74.3 % after 400.
"""

import optax

from jssl.methods import swav
from jssl.models import swav_head
from jssl.optim import freeze_during, lars
from jssl.run import Experiment, Training, main, recipe


@recipe(
    encoder="resnet50",
    batch=4096,
    steps=249_600,
    warmup=0.0125,
    learning_rate=4.8,
    weight_decay=1e-6,
    views="swav",
)
def experiment(
    training: Training,
    *,
    prototypes: int = 3000,
    locals: int = 6,
    temperature: float = 0.1,
    epsilon: float = 0.05,
    queue: int = 0,
    queue_start: float = 0.0,
    frozen: float = 0.00125,
    hidden: int = 2048,
    features: int = 128,
) -> Experiment:
    """SwAV as an experiment.

    prototypes: their number.
    locals: small views of each image.
    temperature: of the predictions.
    epsilon: of Sinkhorn-Knopp.
    queue: past embeddings that help small batches to balance; 0 for none.
    queue_start: share of the run after which the queue is filled.
    frozen: share of the run in which the prototypes stand still.
    hidden: width of the projection's hidden layer.
    features: width of the projection.
    """
    network = training.network()
    assignment = dict(
        temperature=temperature, epsilon=epsilon, queue=queue, queue_start=training.share(queue_start)
    )
    method = swav(network, prototypes=prototypes, head=swav_head(features, hidden=hidden), **assignment)
    frozen_prototypes = freeze_during(training.share(frozen), lambda path: path[0] == "scores")
    optimizer = optax.chain(lars(training.rate(), weight_decay=training.weight_decay), frozen_prototypes)
    return training.experiment(
        method, optimizer=optimizer, views=training.view_recipe(locals=locals), network=network
    )


demo = dict(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    steps=500,
    warmup=0.1,
    learning_rate=1.0,
    prototypes=32,
    epsilon=0.03,
    locals=0,
    frozen=0.02,
    hidden=256,
    features=64,
)

if __name__ == "__main__":
    main(experiment, demo)
