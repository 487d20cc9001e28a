"""VICReg, arXiv:2105.04906."""

from dataclasses import dataclass

import flax.linen as nn

from jssl.methods import vicreg
from jssl.models import vicreg_head
from jssl.optim import lars
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class VICReg(Training):
    """VICReg: two views agree, every feature varies over the batch, and no two vary together.
    arXiv:2105.04906

    jssl train vicreg --demo                                                # a few minutes on a CPU
    jssl train vicreg --data tfds:imagenet2012 --out gs://bucket/vicreg     # on a pod

    The paper: ResNet-50, batch 2048, ImageNet, 1000 epochs: linear 73.2 % top-1.
    The blocks' last scales begin at 0.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 2048
    epochs: float = 1000
    warmup: float = 10
    learning_rate: float = 0.2
    rate_per: Count | None = 256
    final_rate: float = 0.001
    weight_decay: float = 1e-6
    views: str = "byol"
    invariance: float = 25.0
    """Weight of the squared distance of the two views."""
    variance: float = 25.0
    """Weight of the hinge on each feature's deviation."""
    covariance: float = 1.0
    """Weight of the features' covariances."""
    dim: Count = 8192
    """Width of all three layers of the expander."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(where_it_has=dict(last_scale=nn.initializers.zeros))
        weights = dict(invariance=self.invariance, variance=self.variance, covariance=self.covariance)
        method = vicreg(network, head=vicreg_head(self.dim, hidden=self.dim), **weights)
        optimizer = lars(self.rate(data), weight_decay=self.weight_decay)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "facebookresearch/vicreg, main_vicreg.py and README",
    "views": "augmentations.py",
}

demo = VICReg(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=1,
    learning_rate=0.2,
    rate_per=None,
    final_rate=0.0,
    dim=256,
)

if __name__ == "__main__":
    main(demo)
