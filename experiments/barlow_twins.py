"""Barlow Twins, arXiv:2103.03230."""

from dataclasses import dataclass

import optax

from jssl.methods import barlow_twins
from jssl.models import barlow_head
from jssl.optim import biases_and_norms, lars
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class BarlowTwins(Training):
    """Barlow Twins: the cross-correlation of two views' embeddings is made the identity.  arXiv:2103.03230

    jssl train barlow_twins --demo                                          # a few minutes on a CPU
    jssl train barlow_twins --data tfds:imagenet2012 --out gs://bucket/barlow           # on a pod

    The paper: ResNet-50, batch 2048, ImageNet, 1000 epochs: linear 73.2 % top-1; 124 hours on 32 V100.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 2048
    epochs: float = 1000
    warmup: float = 10
    learning_rate: float = 0.2
    rate_per: Count | None = 256
    final_rate: float = 0.001
    weight_decay: float = 1.5e-6
    views: str = "byol"
    off_diagonal_weight: float = 0.0051
    """Of redundancy against invariance."""
    bias_rate: float = 0.024
    """Learning rate of biases and norms, as a share of the weights'."""
    features: Count = 8192
    """Width of all three layers of the projection."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        head = barlow_head(self.features, hidden=self.features)
        method = barlow_twins(network, head=head, off_diagonal_weight=self.off_diagonal_weight)
        slow_biases = optax.masked(optax.scale(self.bias_rate), biases_and_norms)
        optimizer = optax.chain(lars(self.rate(data), weight_decay=self.weight_decay), slow_biases)
        return self.experiment(data, method, optimizer=optimizer, network=network)


demo = BarlowTwins(
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
    off_diagonal_weight=5e-3,
    features=256,
)

if __name__ == "__main__":
    main(demo)
