"""ReSSL, arXiv:2107.09282."""

from dataclasses import dataclass

import jax
import optax

from jssl.arrays.trees import names
from jssl.methods import ressl
from jssl.optim import sgd, weights
from jssl.run import Count, Data, DataInfo, Experiment, MomentumContrast, Share, main


def weights_and_shortcuts(params):
    """Chooses what decays: names in the authors' code say bias and bn, but not for a shortcut's norm."""

    def chosen(path, weight):
        return weight or names(path)[-2:] == ("downsample_bn", "scale")

    return jax.tree_util.tree_map_with_path(chosen, weights(params))


@dataclass(frozen=True)
class ReSSL(MomentumContrast):
    """ReSSL: a strong view's similarities to past images match those of a sharper teacher for a weak view.
    arXiv:2107.09282

    jssl train ressl --demo                                                 # a few minutes on a CPU
    jssl train ressl --data tfds:imagenet2012 --out gs://bucket/ressl       # on a pod

    The paper: ResNet-50, batch 256, ImageNet, 200 epochs: linear 69.9 % top-1 (74.7 % with five crops, which
    are not here). Biases and norms do not decay, but the norms of shortcuts do, which the authors' code
    does not know by their names.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 256
    epochs: float = 200
    warmup: float = 5
    learning_rate: float = 0.05
    rate_per: Count | None = None
    final_rate: float = 0.0
    weight_decay: float = 1e-4
    views: str = "ressl"
    queue: Count = 131072
    temperature: float = 0.1
    teacher_temperature: float = 0.04
    """Of the teacher's similarities, below the student's."""
    momentum: Share = 0.999
    groups: Count = 8
    hidden: Count | None = 4096
    dim: Count = 512

    def optimizer(self, data: DataInfo) -> optax.GradientTransformation:
        """Makes SGD with momentum, which decays weights and the scales of shortcuts' norms."""
        return sgd(self.rate(data), weight_decay=self.weight_decay, decays=weights_and_shortcuts)

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        method = ressl(network, teacher_temperature=self.teacher_temperature, **self.contrast())
        return self.experiment(data, method, optimizer=self.optimizer(data), network=network)


SOURCES = {
    "": "KyleZheng1997/ReSSL, ressl.py",
    "batch": "ressl.py: 32 on each GPU; script/train.sh: 8 GPUs",
    "groups": "script/train.sh: 8 GPUs",
    "views": "data/augmentation.py",
    "queue": "network/ressl.py",
    "momentum": "network/ressl.py",
    "hidden": "network/head.py",
    "dim": "network/ressl.py",
}

demo = ReSSL(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=0.5,
    learning_rate=0.06,
    queue=4096,
    momentum=0.99,
    groups=2,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
