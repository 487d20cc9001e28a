"""MaskFeat, arXiv:2112.09133."""

from dataclasses import dataclass

import optax

from jssl.methods import maskfeat
from jssl.optim import adamw, clip_by_global_norm, weights_and_tokens
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class MaskFeat(Training):
    """MaskFeat: one linear layer predicts the histograms of gradients of hidden patches.  arXiv:2112.09133

    jssl train maskfeat --demo                                              # a few minutes on a CPU
    jssl train maskfeat --data tfds:imagenet2012 --out gs://bucket/maskfeat # on a pod

    The paper: ViT-B/16, batch 2048, ImageNet, 1600 epochs: fine-tuned 84.0 %. All tokens and position tables
    decay, as in the authors' code. The log's `trivial` is the loss of the mean histogram.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 2048
    epochs: float = 1600
    warmup: float = 30
    learning_rate: float = 2e-4
    rate_per: Count | None = 256
    start_rate: float = 0.005
    """The code's 1e-6 per 256 images."""
    final_rate: float = 0.005
    """The code's 1e-6 per 256 images."""
    weight_decay: float = 0.05
    views: str = "mae"
    crop: tuple[Share, Share] = (0.5, 1.0)
    """Least and most share of an image that a crop shows."""
    clip: float = 0.02
    """The largest norm of the gradient."""
    bins: Count = 9
    """Orientations told apart."""
    cell: Count = 8
    """Side in pixels of what one histogram is of."""
    ratio: Share = 0.4
    """Share of patches hidden, in blocks of at least a fifth of them."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(hides="mask")
        channels = data.image[-1]
        method = maskfeat(network, bins=self.bins, cell=self.cell, ratio=self.ratio, channels=channels)
        decayed = adamw(self.rate(data), weight_decay=self.weight_decay, decays=weights_and_tokens)
        optimizer = optax.chain(clip_by_global_norm(self.clip), decayed)
        views = self.make_views(data, scale=self.crop)
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


SOURCES = {
    "": "facebookresearch/SlowFast, configs/masked_ssl/in1k_VIT_B_MaskFeat_PT.yaml",
    "batch": "a reproduction, open-mmlab/mmselfsup, configs/selfsup/maskfeat: 8 times 256",
    "epochs": "projects/maskfeat/README.md: the published weights; the configuration has 300",
    "views": "slowfast/datasets/imagenet.py",
    "bins": "slowfast/models/masked.py",
    "cell": "slowfast/models/masked.py",
}

demo = MaskFeat(
    encoder="vit_n4",
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=800,
    warmup=1,
    learning_rate=1e-3,
    rate_per=None,
    start_rate=0.0,
    final_rate=0.0,
    clip=1.0,
    cell=4,
)

if __name__ == "__main__":
    main(demo)
