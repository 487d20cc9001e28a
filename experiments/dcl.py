"""DCL, arXiv:2110.06848."""

from dataclasses import dataclass

import optax

from jssl.methods import dcl
from jssl.models import swav_head
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class DCL(Training):
    """DCL: SimCLR without the positive pair in the denominator, so that small batches suffice.
    arXiv:2110.06848

    jssl train dcl --demo                                                   # a few minutes on a CPU
    jssl train dcl --data tfds:cifar10 --batch 32
    jssl train dcl --data tfds:imagenet2012 --encoder resnet50 --size 224

    The paper: SimCLR's loss without the positive in its denominator; ImageNet, batch 256, 200 epochs: linear
    68.2 % top-1. The settings are those of a public implementation: ResNet-18 with a stem for small images,
    CIFAR-10, 100 epochs, linear 84.6, 85.6, 85.6, 85.4 % with batches of 32, 64, 128, 256, where SimCLR's
    loss reaches 78.3, 81.5, 83.1, 83.3 %. Weight decay is Adam's own: in the gradient, of everything.
    """

    data: Data = "tfds:cifar10"
    encoder: str = "resnet18_cifar"
    batch: Count = 128
    epochs: float = 100
    warmup: float = 0
    learning_rate: float = 1e-3
    rate_per: Count | None = None
    final_rate: Share = 1.0
    weight_decay: float = 1e-6
    views: str = "supcon"
    scale: tuple[Share, Share] = (0.08, 1.0)
    """Least and most area of the crops."""
    temperature: float = 0.1
    """Of the contrast."""
    weighted: bool = False
    """DCLW: pairs that agree already weigh less."""
    sigma: float = 0.5
    """Width of those weights."""
    hidden: Count = 512
    """Width of the projection's hidden layer."""
    dim: Count = 128
    """Width of the projection."""

    def build(self, data: DataInfo) -> Experiment:
        network, head = self.network(), swav_head(self.dim, hidden=self.hidden)
        sigma = self.sigma if self.weighted else None
        method = dcl(network, head=head, temperature=self.temperature, sigma=sigma)
        optimizer = optax.chain(optax.add_decayed_weights(self.weight_decay), optax.adam(self.rate(data)))
        views = self.make_views(data, scale=self.scale)
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


SOURCES = {
    "": "raminnakhli/Decoupled-Contrastive-Learning, README, run_simclr.sh and experiment/simclr/main.py",
    "views": "experiment/simclr/utils.py",
    "scale": "experiment/simclr/utils.py, torchvision's default",
    "hidden": "experiment/simclr/model.py",
}

demo = DCL(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    scale=(0.4, 1.0),
    batch=64,
    epochs=10,
    steps=500,
    warmup=1,
    learning_rate=2e-3,
    final_rate=0.0,
    temperature=0.2,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
