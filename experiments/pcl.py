"""PCL, arXiv:2005.04966."""

from dataclasses import dataclass

from jssl.methods import pcl
from jssl.optim import Schedule
from jssl.run import Count, Data, DataInfo, Experiment, MomentumContrast, Share, main


@dataclass(frozen=True)
class PCL(MomentumContrast):
    """PCL: MoCo, and each image is also contrasted with cluster prototypes, found anew every epoch.
    arXiv:2005.04966

    jssl train pcl --demo                                                   # a few minutes on a CPU
    jssl train pcl --data tfds:imagenet2012 --out gs://bucket/pcl           # on a pod

    The paper (v2): ResNet-50, batch 256, ImageNet, 200 epochs: linear 67.6 % top-1. Biases and norms decay
    too, as in the authors' code; what is clustered is what the momentum encoder makes of all images in
    evaluation mode.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 256
    epochs: float = 200
    warmup: float = 0
    learning_rate: float = 0.03
    rate_per: Count | None = None
    final_rate: float = 0.0
    weight_decay: float = 1e-4
    views: str = "moco_v2"
    queue: Count = 16384
    temperature: float = 0.2
    momentum: Share = 0.999
    groups: Count = 8
    hidden: Count = 2048
    dim: Count = 128
    clusters: tuple[Count, ...] = (25000, 50000, 100000)
    """How many at each granularity."""
    negatives: Count = 16384
    """Prototypes drawn as negatives."""
    restarts: Count = 5
    """Of k-means, of which the best counts."""
    first_clusters: float = 20
    """Epochs before which nothing is clustered."""

    def rate(self, data: DataInfo) -> Schedule:
        """Makes the learning rate, which moves once in an epoch."""
        return self.rate_by_epoch(data)

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        method = pcl(
            network,
            examples=data.examples,
            start=self.span(self.first_clusters, data),
            clusters=self.clusters,
            negatives=self.negatives,
            restarts=self.restarts,
            **self.contrast(),
        )
        return self.experiment(data, method, optimizer=self.optimizer(data), network=network)


SOURCES = {
    "": "salesforce/PCL, main_pcl.py and README",
    "learning_rate": "main_pcl.py; it moves once in an epoch",
    "groups": "README: 8 GPUs",
    "restarts": "main_pcl.py, run_kmeans",
    "hidden": "pcl/builder.py",
}

demo = PCL(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=0.5,
    learning_rate=0.06,
    clusters=(300, 600),
    negatives=1000,
    restarts=1,
    first_clusters=0,
    queue=4096,
    momentum=0.99,
    groups=2,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
