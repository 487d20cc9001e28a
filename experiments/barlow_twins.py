"""Barlow Twins, arXiv:2103.03230."""

from dataclasses import dataclass

import flax.linen as nn
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

    The paper: ResNet-50, batch 2048, ImageNet, 1000 epochs: linear 73.5 % top-1 (the authors' release; 73.2 %
    in the paper); 7 days on 16 V100. The weight decay is the code's, 1e-6; the paper says 1.5e-6. The blocks'
    last scales begin at 0.
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
    off_diagonal_weight: float = 0.0051
    """Of redundancy against invariance."""
    bias_rate: float = 0.024
    """Learning rate of biases and norms, as a share of the weights'."""
    gpus: Count = 16
    """GPUs of the authors' run, over which their code averages shares: what is not adapted moves less."""
    dim: Count = 8192
    """Width of all three layers of the projection."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(where_it_has=dict(last_scale=nn.initializers.zeros))
        head = barlow_head(self.dim, hidden=self.dim)
        method = barlow_twins(network, head=head, off_diagonal_weight=self.off_diagonal_weight)
        slow_biases = optax.masked(optax.scale(self.bias_rate), biases_and_norms)
        adapted = lars(self.rate(data), weight_decay=self.weight_decay)
        optimizer = optax.chain(optax.scale(1 / self.gpus), adapted, slow_biases)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "facebookresearch/barlowtwins, main.py and README",
    "gpus": "README: 16 V100",
}

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
    gpus=1,
    dim=256,
)

if __name__ == "__main__":
    main(demo)
