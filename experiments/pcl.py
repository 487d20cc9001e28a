"""PCL: MoCo, and an image also finds the prototype of its cluster, re-clustered every epoch.  arXiv:2005.04966

    python -m experiments.pcl --demo                                        # a few minutes on a CPU
    python -m experiments.pcl --data tfds:imagenet2012 --out gs://bucket/pcl            # on a pod

The paper (v2): ResNet-50, batch 256, ImageNet, 200 epochs: linear 67.6 % top-1.
"""

from jssl.methods import pcl
from jssl.run import Experiment, MomentumContrast, main, recipe


@recipe(
    encoder="resnet50",
    batch=256,
    steps=1_000_800,
    warmup=0.0,
    learning_rate=0.03,
    weight_decay=1e-4,
    views="moco_v2",
    queue=16384,
)
def experiment(
    training: MomentumContrast,
    *,
    clusters: tuple[int, ...] = (25000, 50000, 100000),
    negatives: int = 16000,
    restarts: int = 5,
) -> Experiment:
    """PCL as an experiment.

    clusters: how many at each granularity.
    negatives: prototypes drawn as negatives.
    restarts: of k-means, of which the best counts.
    """
    network, examples = training.network(), len(training.records())
    prototypes = dict(examples=examples, clusters=clusters, negatives=negatives, restarts=restarts)
    method = pcl(network, **prototypes, **training.contrast())
    return training.experiment(method, optimizer=training.optimizer(), network=network)


demo = dict(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    steps=500,
    warmup=0.05,
    learning_rate=0.06,
    clusters=(300, 600),
    negatives=1000,
    restarts=1,
    queue=4096,
    momentum=0.99,
    groups=2,
    hidden=256,
    features=64,
)

if __name__ == "__main__":
    main(experiment, demo)
