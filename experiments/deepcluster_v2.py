"""DeepCluster v2, arXiv:2006.09882."""

from dataclasses import dataclass

import jax.numpy as jnp

from jssl.methods import deepcluster_v2
from jssl.models import swav_head
from jssl.optim import Schedule, larc, warmup_cosine
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class DeepClusterV2(Training):
    """DeepCluster v2: every crop is classified by its image's clusters, found anew after every epoch.
    arXiv:2006.09882

    jssl train deepcluster_v2 --demo                                        # a few minutes on a CPU
    jssl train deepcluster_v2 --data tfds:imagenet2012 --out gs://bucket/dc # on a pod

    The paper: ResNet-50, batch 4096, 2 x 224 + 6 x 96, ImageNet, 800 epochs: linear 75.2 % top-1. The first
    epoch here is the authors' pass before training, in which the random network fills the bank: its loss is
    0, and nothing is learned. LARC adapts and decays everything, biases and norms too. Batch statistics are
    those of the whole batch, the authors' those of 512 images, on 8 of 64 GPUs.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 4096
    epochs: float = 801
    """The authors' 800, and the one that fills the bank."""
    warmup: float = 11
    """The authors' 10, and the one that fills the bank."""
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
    clusters: tuple[Count, ...] = (3000, 3000, 3000)
    """How many, of each clustering."""
    temperature: float = 0.1
    """Of the softmax over the clusters."""
    hidden: Count = 2048
    """Width of the projection's hidden layer."""
    dim: Count = 128
    """Width of the projection."""

    def rate(self, data: DataInfo) -> Schedule:
        """Makes the learning rate, which begins after the epoch that fills the bank."""
        steps, peak, filling = self.length(data), self.peak_rate, data.examples // self.batch
        trained = max(1, steps - filling)
        warmup = min(max(0, self.span(self.warmup, data) - filling), trained - 1)
        ends = dict(start=self.start_rate * peak, end=self.final_rate * peak)
        schedule = warmup_cosine(peak, steps=trained, warmup=warmup, **ends)
        return lambda step: schedule(jnp.maximum(jnp.asarray(step) - filling, 0))

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        method = deepcluster_v2(
            network,
            examples=data.examples,
            clusters=self.clusters,
            head=swav_head(self.dim, hidden=self.hidden),
            temperature=self.temperature,
        )
        optimizer = larc(self.rate(data), weight_decay=self.weight_decay)
        views = self.make_views(data, locals=self.locals)
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


SOURCES = {
    "": "facebookresearch/swav, scripts/deepclusterv2_800ep_pretrain.sh",
    "hidden": "main_deepclusterv2.py",
    "views": "src/multicropdataset.py",
}

# A quarter of the scenes, so that there are many epochs, and with them clusterings, in a few minutes.
demo = DeepClusterV2(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    share=0.25,
    size=24,
    views="crops",
    batch=64,
    epochs=17,
    warmup=2,
    learning_rate=1.0,
    start_rate=0.0,
    final_rate=0.0,
    clusters=(24, 24, 24),
    locals=0,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
