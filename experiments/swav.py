"""SwAV, arXiv:2006.09882."""

from dataclasses import dataclass

import optax

from jssl.methods import swav
from jssl.models import swav_head
from jssl.optim import freeze_during, larc
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class SwAV(Training):
    """SwAV: each view's balanced assignment to prototypes is predicted from the other views.
    arXiv:2006.09882

    jssl train swav --demo                                                  # a few minutes on a CPU
    jssl train swav --data tfds:imagenet2012 --out gs://bucket/swav         # on a pod

    The paper: ResNet-50, batch 4096, 2 x 224 + 6 x 96, ImageNet: linear 75.3 % top-1 after 800 epochs (49
    hours on 64 V100), 72.1 % after 100; with batch 256 and a queue of 3,840, 74.3 % after 400. LARC adapts
    and decays everything, biases and norms too. Batch statistics are those of the whole batch, the authors'
    those of 512 images, on 8 of 64 GPUs.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 4096
    epochs: float = 800
    warmup: float = 10
    learning_rate: float = 4.8
    rate_per: Count | None = None
    start_rate: float = 0.0625
    """The code's 0.3."""
    final_rate: float = 0.001
    """The code's 0.0048."""
    weight_decay: float = 1e-6
    views: str = "swav"
    locals: int = 6
    """Small views of each image."""
    prototypes: Count = 3000
    """Their number."""
    temperature: float = 0.1
    """Of the predictions."""
    epsilon: float = 0.05
    """Of Sinkhorn-Knopp."""
    queue: int = 0
    """Past embeddings that help small batches to balance; 0 for none."""
    queue_start: float = 0
    """Epochs after which the queue is filled."""
    frozen: float = 1
    """Epochs in which the prototypes stand still."""
    hidden: Count = 2048
    """Width of the projection's hidden layer."""
    dim: Count = 128
    """Width of the projection."""

    def build(self, data: DataInfo) -> Experiment:
        network, start = self.network(), self.span(self.queue_start, data)
        head = swav_head(self.dim, hidden=self.hidden)
        method = swav(
            network,
            prototypes=self.prototypes,
            head=head,
            temperature=self.temperature,
            epsilon=self.epsilon,
            queue=self.queue,
            queue_start=start,
        )
        prototypes_frozen = freeze_during(self.span(self.frozen, data), lambda path: path[0] == "scores")
        optimizer = optax.chain(larc(self.rate(data), weight_decay=self.weight_decay), prototypes_frozen)
        views = self.make_views(data, locals=self.locals)
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


SOURCES = {
    "": "facebookresearch/swav, scripts/swav_800ep_pretrain.sh",
    "hidden": "main_swav.py",
    "views": "src/multicropdataset.py",
}

demo = SwAV(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=1,
    learning_rate=1.0,
    start_rate=0.0,
    final_rate=0.0,
    prototypes=32,
    epsilon=0.03,
    locals=0,
    frozen=0.2,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
