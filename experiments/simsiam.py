"""SimSiam, arXiv:2011.10566."""

from dataclasses import dataclass

import flax.linen as nn
import optax

from jssl.methods import simsiam
from jssl.models import simsiam_head, simsiam_predictor
from jssl.optim import Schedule, everything, sgd
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class SimSiam(Training):
    """SimSiam: the projection of one view is predicted from the other, without a gradient into it.
    arXiv:2011.10566

    jssl train simsiam --demo                                               # a few minutes on a CPU
    jssl train simsiam --data tfds:imagenet2012 --out gs://bucket/simsiam   # on a pod

    The paper: ResNet-50, batch 512, ImageNet, 100 epochs: linear 68.1 % top-1. The blocks' last
    scales begin at 0, and biases and norms decay too, as in the authors' code.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 512
    epochs: float = 100
    warmup: float = 0
    learning_rate: float = 0.05
    rate_per: Count | None = 256
    final_rate: float = 0.0
    weight_decay: float = 1e-4
    views: str = "moco_v2"
    hidden: Count = 512
    """Width of the predictor's hidden layer."""
    dim: Count = 2048
    """Width of projection and prediction."""
    constant_predictor: bool = True
    """Keep the predictor's learning rate at its peak."""

    def rate(self, data: DataInfo) -> Schedule:
        """Makes the learning rate, which moves once in an epoch."""
        return self.rate_by_epoch(data)

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(where_it_has=dict(last_scale=nn.initializers.zeros))
        head = simsiam_head(self.dim, hidden=self.dim)
        predictor = simsiam_predictor(self.dim, hidden=self.hidden)
        method = simsiam(network, head=head, predictor=predictor)
        rates = dict(
            encoder=self.rate(data), prediction=self.peak_rate if self.constant_predictor else self.rate(data)
        )
        optimizer = optax.multi_transform(
            {
                part: sgd(rate, weight_decay=self.weight_decay, decays=everything)
                for part, rate in rates.items()
            },
            lambda params: {part: part if part in rates else "encoder" for part in params},
        )
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "facebookresearch/simsiam, main_simsiam.py",
    "learning_rate": "main_simsiam.py; it moves once in an epoch",
    "constant_predictor": "README, --fix-pred-lr",
}

demo = SimSiam(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=1,
    learning_rate=0.05,
    rate_per=None,
    hidden=64,
    dim=256,
)

if __name__ == "__main__":
    main(demo)
