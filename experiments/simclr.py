"""SimCLR, arXiv:2002.05709."""

from dataclasses import dataclass

import flax.linen as nn

from jssl.methods import simclr
from jssl.models import simclr_head
from jssl.optim import lars
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class SimCLR(Training):
    r"""SimCLR: the other view of an image is found among all views of the batch.  arXiv:2002.05709

    jssl train simclr --demo                                                # a few minutes on a CPU
    jssl train simclr --data tfds:cifar10 --encoder resnet18_cifar --batch 512 --epochs 1000 \
        --learning-rate 1.0 --temperature 0.5
    jssl train simclr --data tfds:imagenet2012 --out gs://bucket/simclr     # on a pod

    The paper: ResNet-50, batch 4096, ImageNet, 100 epochs: linear 64.5 % top-1; 6 hours on 32 TPU v3. The
    blocks' last scales begin at 0, the learning rate lies inside LARS's momentum, and both directions are
    added up, as in the authors' code. Their CIFAR-10 command reaches about 91 %. The commands are those that
    their README had first; since SimCLR v2 it names a weight decay of 1e-4 beside the same figures.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 4096
    epochs: float = 100
    warmup: float = 10
    learning_rate: float = 0.3
    rate_per: Count | None = 256
    final_rate: float = 0.0
    weight_decay: float = 1e-6
    views: str = "simclr"
    temperature: float = 0.1
    """0.1 on ImageNet, 0.5 on CIFAR-10."""
    hidden: Count = 2048
    """Width of the projection's hidden layer."""
    dim: Count = 128
    """Width of the projection."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(where_it_has=dict(last_scale=nn.initializers.zeros))
        head = simclr_head(self.dim, hidden=self.hidden)
        method = simclr(network, head=head, temperature=self.temperature)
        optimizer = lars(self.rate(data), weight_decay=self.weight_decay, rate_inside_momentum=True)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "google-research/simclr, README and run.py",
    "weight_decay": "README of March 2020 and run.py; the README has 1e-4 since SimCLR v2",
    "learning_rate": "README of March 2020 and run.py; at 4096 the same as 0.075 times the batch's root",
    "final_rate": "model_util.py",
    "views": "data_util.py: brightness is multiplied; until June 2020 it was added to",
}

demo = SimCLR(
    encoder="resnet10x0.25_cifar",
    data="digits",
    size=24,
    views="handwriting",
    batch=128,
    epochs=10,
    steps=600,
    warmup=1,
    learning_rate=8.0,
    rate_per=None,
    temperature=0.2,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
