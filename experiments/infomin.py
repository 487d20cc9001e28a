"""InfoMin, arXiv:2005.10243."""

from dataclasses import dataclass

from jssl.methods import infomin
from jssl.models import moco_head
from jssl.optim import Schedule
from jssl.run import Count, Data, DataInfo, Experiment, MomentumContrast, Share, main


@dataclass(frozen=True)
class InfoMin(MomentumContrast):
    """InfoMin: MoCo on views that share little but what a task needs.  arXiv:2005.10243

    jssl train infomin --demo                                               # a few minutes on a CPU
    jssl train infomin --data tfds:imagenet2012 --out gs://bucket/infomin   # on a pod
    jssl train infomin --demo --strength 0.5                                # less color distortion

    The paper: ResNet-50, batch 256, ImageNet, 200 epochs: linear 70.1 % top-1. Half of the loss is
    that of shuffled tiles; biases and norms decay too, as in the authors' code. RandAugment is torchvision's
    where they have timm's, whose magnitude varies.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 256
    epochs: float = 200
    warmup: float = 0
    learning_rate: float = 0.03
    rate_per: Count | None = None
    final_rate: float = 0.001
    weight_decay: float = 1e-4
    views: str = "infomin"
    strength: float = 1.0
    """Of the color distortion."""
    magnitude: float = 10
    """Of RandAugment, up to 10."""
    tile_weight: Share = 0.5
    """Of the loss of an image's tiles."""
    queue: Count = 65536
    temperature: float = 0.15
    momentum: Share = 0.999
    groups: Count = 8
    hidden: Count | None = 2048
    dim: Count = 128

    def rate(self, data: DataInfo) -> Schedule:
        """Makes the learning rate, which moves once in an epoch; the first is number 1."""
        return self.rate_by_epoch(data, first=1)

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        tile, join = (moco_head(self.dim, hidden=width) for width in (self.hidden, None))
        method = infomin(network, tile=tile, join=join, tile_weight=self.tile_weight, **self.contrast())
        views = self.make_views(data, strength=self.strength, magnitude=self.magnitude)
        return self.experiment(data, method, optimizer=self.optimizer(data), views=views, network=network)


SOURCES = {
    "": "HobbitLong/PyContrast, options/base_options.py, options/train_options.py and README",
    "learning_rate": "learning/base_trainer.py; it moves once in an epoch, the first is number 1",
    "views": "datasets/util.py, aug D",
    "strength": "datasets/util.py, aug D",
    "magnitude": "datasets/util.py, aug D",
    "tile_weight": "options/train_options.py, beta",
    "groups": "docs/RUN.md: 8 GPUs",
    "hidden": "networks/build_backbone.py",
}

demo = InfoMin(
    encoder="resnet10x0.25_cifar",
    data="scenes:shape",
    size=24,
    batch=64,
    epochs=10,
    steps=500,
    warmup=0.5,
    learning_rate=0.06,
    final_rate=0.0,
    strength=0.5,
    magnitude=5,
    queue=4096,
    momentum=0.99,
    groups=2,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
