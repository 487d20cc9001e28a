"""BYOL, arXiv:2006.07733."""

from dataclasses import dataclass

import flax.linen as nn

from jssl.methods import byol
from jssl.models import byol_head
from jssl.optim import lars, teacher_momentum
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class BYOL(Training):
    """BYOL: a slow teacher's projection of one view is predicted from the other, without negatives.
    arXiv:2006.07733

    jssl train byol --demo                                                  # a few minutes on a CPU
    jssl train byol --data tfds:imagenet2012 --out gs://bucket/byol         # on a pod

    The paper: ResNet-50, batch 4096, ImageNet, 1000 epochs: linear 74.3 % top-1; 8 hours on 512 TPU v3 cores.
    The blocks' last scales begin at 0, as in the released code, which gives 74.0 to 74.5 %; the paper's began
    at 1. Brightness is multiplied here, the code adds to it; the teacher begins as the student, the code
    draws it anew, which its authors found to make no difference.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 4096
    epochs: float = 1000
    warmup: float = 10
    learning_rate: float = 0.2
    rate_per: Count | None = 256
    final_rate: float = 0.0
    weight_decay: float = 1.5e-6
    views: str = "byol"
    momentum: Share = 0.996
    """Of the teacher at the start; it rises to 1."""
    hidden: Count = 4096
    """Width of the hidden layers of projection and prediction."""
    dim: Count = 256
    """Width of projection and prediction."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(where_it_has=dict(last_scale=nn.initializers.zeros))
        method = byol(
            network,
            head=byol_head(self.dim, hidden=self.hidden),
            predictor=byol_head(self.dim, hidden=self.hidden),
            momentum=teacher_momentum(self.momentum, self.length(data)),
        )
        optimizer = lars(self.rate(data), weight_decay=self.weight_decay)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "deepmind-research, byol/configs/byol.py, 1000 epochs",
    "batch": "byol/README.md",
    "views": "byol/utils/augmentations.py; colors change as torchvision changes them",
}

demo = BYOL(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=1,
    learning_rate=0.5,
    rate_per=None,
    momentum=0.99,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
