"""OBoW, arXiv:2012.11552."""

from dataclasses import dataclass
from functools import partial

from jssl.methods import obow
from jssl.models import obow_generator
from jssl.optim import Schedule, everything, sgd, teacher_momentum
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class OBoW(Training):
    """OBoW: the bag of visual words that a teacher sees in the whole image is predicted from crops.
    arXiv:2012.11552

    jssl train obow --demo                                                  # a few minutes on a CPU
    jssl train obow --data tfds:imagenet2012 --out gs://bucket/obow         # on a pod

    The paper: ResNet-50, batch 256, 2 crops of 160 and 5 patches of 96, ImageNet, 200 epochs: linear 73.8 %
    top-1. Biases and norms decay too, as in the authors' code; the student is evaluated.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 256
    epochs: float = 200
    warmup: float = 10
    learning_rate: float = 0.03
    rate_per: Count | None = None
    final_rate: float = 0.001
    """The code's 0.00003."""
    weight_decay: float = 1e-4
    views: str = "obow"
    crops: Count = 2
    """Crops of each image."""
    locals: int = 5
    """Patches of each image."""
    levels: tuple[str, ...] = ("layer3", "layer4")
    """The encoder's maps that have words."""
    words: Count = 8192
    """In each dictionary, at least a batch."""
    inverse_delta: float = 15.0
    """Sharpness of the bags of words."""
    kappa: float = 8.0
    """Scale of the logits."""
    momentum: Share = 0.99
    """Of the teacher at the start; it rises to 1."""
    hidden: Count = 4096
    """Width of the generators' hidden layer."""

    def rate(self, data: DataInfo) -> Schedule:
        """Makes the learning rate, which moves once in an epoch after its warm-up."""
        return self.rate_by_epoch(data)

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        method = obow(
            network,
            levels=self.levels,
            generator=partial(obow_generator, hidden=self.hidden),
            words=self.words,
            inverse_delta=self.inverse_delta,
            kappa=self.kappa,
            momentum=teacher_momentum(self.momentum, self.length(data)),
        )
        optimizer = sgd(self.rate(data), weight_decay=self.weight_decay, decays=everything)
        views = self.make_views(data, crops=self.crops, locals=self.locals)
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


SOURCES = {
    "": "valeoai/obow, config/ImageNetFull/ResNet50_OBoW_full.yaml",
    "learning_rate": "obow/solver.py; after the warm-up it moves once in an epoch",
    "views": "obow/datasets.py",
    "hidden": "obow/builder_obow.py",
}

vanilla = OBoW(  # config/ImageNet20/ResNet18_OBoW_vanilla.yaml, on a fifth of ImageNet
    encoder="resnet18",
    share=0.2,
    epochs=80,
    warmup=0,
    learning_rate=0.05,
    final_rate=0.0,
    weight_decay=5e-4,
    crops=1,
    locals=0,
    levels=("layer4",),
    inverse_delta=10.0,
    kappa=5.0,
    hidden=1024,
)

demo = OBoW(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="whole_and_crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=0.5,
    learning_rate=0.06,
    final_rate=0.0,
    locals=0,
    levels=("layer3",),
    words=256,
    inverse_delta=10.0,
    kappa=5.0,
    hidden=256,
)

if __name__ == "__main__":
    main(demo)
