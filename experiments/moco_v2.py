"""MoCo v2, arXiv:2003.04297."""

from dataclasses import dataclass

from jssl.methods import moco_v2
from jssl.optim import Schedule
from jssl.run import Count, Data, DataInfo, Experiment, MomentumContrast, Share, main


@dataclass(frozen=True)
class MoCoV2(MomentumContrast):
    """MoCo v2: a query finds its key among a queue of past keys of a momentum encoder.  arXiv:2003.04297

    jssl train moco_v2 --demo                                               # a few minutes on a CPU
    jssl train moco_v2 --data tfds:imagenet2012 --out gs://bucket/moco      # on a pod

    The paper: ResNet-50, batch 256, ImageNet, 200 epochs: linear 67.5 % top-1 (71.1 % after 800); 53 hours
    on 8 V100. Biases and norms decay too, as in the authors' code.
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
    queue: Count = 65536
    temperature: float = 0.2
    momentum: Share = 0.999
    groups: Count = 8
    hidden: Count = 2048
    dim: Count = 128

    def rate(self, data: DataInfo) -> Schedule:
        """Makes the learning rate, which moves once in an epoch."""
        return self.rate_by_epoch(data)

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        method = moco_v2(network, **self.contrast())
        return self.experiment(data, method, optimizer=self.optimizer(data), network=network)


SOURCES = {
    "": "facebookresearch/moco, main_moco.py and README",
    "learning_rate": "main_moco.py; it moves once in an epoch",
    "groups": "README: 8 GPUs",
    "hidden": "moco/builder.py",
}

demo = MoCoV2(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=0.5,
    learning_rate=0.06,
    queue=4096,
    momentum=0.99,
    groups=2,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
