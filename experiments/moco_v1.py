"""MoCo, arXiv:1911.05722."""

from dataclasses import dataclass

from jssl.methods import moco_v1
from jssl.run import Count, Data, DataInfo, Experiment, MomentumContrast, Share, main


@dataclass(frozen=True)
class MoCoV1(MomentumContrast):
    """MoCo: a query finds its key among a queue of past keys of a momentum encoder.  arXiv:1911.05722

    jssl train moco_v1 --demo                                               # a few minutes on a CPU
    jssl train moco_v1 --data tfds:imagenet2012 --out gs://bucket/moco      # on a pod

    The paper: ResNet-50, batch 256, ImageNet, 200 epochs: linear 60.6 % top-1. The head is one linear layer,
    and biases and norms decay too, as in the authors' code.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 256
    epochs: float = 200
    warmup: float = 0
    learning_rate: float = 0.03
    rate_per: Count | None = None
    final_rate: float = 0.01
    drops: tuple[float, ...] = (120, 160)
    weight_decay: float = 1e-4
    views: str = "moco_v1"
    queue: Count = 65536
    temperature: float = 0.07
    momentum: Share = 0.999
    groups: Count = 8
    hidden: Count | None = None
    dim: Count = 128

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        method = moco_v1(network, **self.contrast())
        return self.experiment(data, method, optimizer=self.optimizer(data), network=network)


SOURCES = {
    "": "facebookresearch/moco, main_moco.py and README",
    "groups": "README: 8 GPUs",
    "hidden": "moco/builder.py",
}

demo = MoCoV1(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=0.5,
    learning_rate=0.06,
    drops=(6, 8),
    queue=4096,
    momentum=0.99,
    groups=2,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
