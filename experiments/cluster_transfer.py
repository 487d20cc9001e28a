"""Jigsaw++, arXiv:1805.00385: its transfer."""

from dataclasses import dataclass

import optax

from jssl.methods import cluster_transfer
from jssl.optim import everything, freeze_during, sgd
from jssl.run import Count, Data, DataInfo, Experiment, Taught, Weights, main
from jssl.run.settings.experiment import AS_DRAWN


@dataclass(frozen=True)
class ClusterTransfer(Taught):
    """Jigsaw++, transfer: a new network predicts each image's cluster in another network's features.
    arXiv:1805.00385

    jssl train jigsaw_pp --demo                                             # what the demo is taught by
    jssl train cluster_transfer --demo --size 48 --teacher runs/jigsaw_pp-demo
    jssl train cluster_transfer --teacher runs/jigsaw_pp --out runs/transferred

    The paper: an AlexNet, taught by 2,000 clusters of what a VGG-16 has learned of puzzles: linear 37.3 % as
    wizwand.com lists it, on its third convolution, from memory. Without --teacher the demo is taught by a
    network as it is drawn, which shows that the stage runs and no more.
    """

    data: Data = "tfds:imagenet2012"
    teacher: Weights | None = None
    """A run, a file or a published name, which stands still; random: a network as it is drawn."""
    encoder: str = "resnet50"
    """Our own choice."""
    batch: Count = 256
    epochs: float = 91
    """The first one looks at the images alone."""
    warmup: float = 0
    learning_rate: float = 0.1
    rate_per: Count | None = 256
    final_rate: float = 0.001
    drops: tuple[float, ...] = (31, 61, 81)
    weight_decay: float = 1e-4
    views: str = "rotation"
    labels: Count = 2000
    """Clusters of the teacher's features."""
    dim: Count = 128
    """Numbers that are remembered of an image."""

    def build(self, data: DataInfo) -> Experiment:
        network, labels = self.network(), min(self.labels, data.examples)
        known = network if self.taught_by is None else self.taught_by.encoder
        teacher = self.frozen_teacher(data, known, at="taught")
        method = cluster_transfer(
            network, teacher.network, examples=data.examples, clusters=labels, dim=self.dim
        )
        still = freeze_during(data.examples // self.batch, lambda path: True)
        optimizer = sgd(self.rate(data), weight_decay=self.weight_decay, decays=everything)
        optimizer = optax.chain(optimizer, still)
        return self.experiment(data, method, optimizer=optimizer, network=network, given=teacher.given)


SOURCES = {
    "": "the paper, section 4, from memory; the run is that of a ResNet on ImageNet's classes",
    "encoder": "our own choice",
    "dim": "our own choice: the authors keep whole features",
}

demo = ClusterTransfer(
    teacher=AS_DRAWN,
    encoder="resnet10x0.25_cifar",
    data="scenes:shape",
    size=24,
    batch=64,
    epochs=5,
    steps=512,
    learning_rate=0.05,
    final_rate=0.0,
    drops=(),
    labels=64,
    dim=32,
)

if __name__ == "__main__":
    main(demo)
