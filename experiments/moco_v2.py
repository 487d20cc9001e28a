"""MoCo v2: a query finds its key among a queue of past keys of a momentum encoder.  arXiv:2003.04297

    python -m experiments.moco_v2 --demo                                    # a few minutes on a CPU
    python -m experiments.moco_v2 --data tfds:imagenet2012 --out gs://bucket/moco       # on a pod

The paper: ResNet-50, batch 256, ImageNet, 200 epochs: linear 67.5 % top-1 (71.1 % after 800); 53 hours on 8 V100.
"""

from jssl.methods import moco_v2
from jssl.run import Experiment, MomentumContrast, main, recipe


@recipe(
    encoder="resnet50",
    batch=256,
    steps=1_000_800,
    warmup=0.0,
    learning_rate=0.03,
    weight_decay=1e-4,
    views="moco_v2",
)
def experiment(training: MomentumContrast) -> Experiment:
    """MoCo v2 as an experiment."""
    network = training.network()
    return training.experiment(
        moco_v2(network, **training.contrast()), optimizer=training.optimizer(), network=network
    )


demo = dict(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    steps=500,
    warmup=0.05,
    learning_rate=0.06,
    queue=4096,
    momentum=0.99,
    groups=2,
    hidden=256,
    features=64,
)

if __name__ == "__main__":
    main(experiment, demo)
