"""MSN, arXiv:2204.07141."""

from dataclasses import dataclass

import optax

from jssl.methods import msn
from jssl.models import msn_head
from jssl.optim import adamw, all_but, clip_by_global_norm, cosine, linear, warmup_cosine, weights_and_tokens
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class MSN(Training):
    """MSN: a view with patches dropped predicts a whole view's prototype assignment.  arXiv:2204.07141

    jssl train msn --demo                                                   # a few minutes on a CPU
    jssl train msn --data tfds:imagenet2012 --out gs://bucket/msn           # on a pod

    The paper: ViT-S/16, batch 1024, ImageNet, 600 epochs (800 in table 1 and the code): linear 76.9 %;
    ViT-B/4 with 1 % of the labels 75.7 %. Prototypes are neither decayed nor part of the clipped gradient.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_s16"
    batch: Count = 1024
    epochs: float = 800
    warmup: float = 15
    learning_rate: float = 1e-3
    rate_per: Count | None = None
    start_rate: Share = 0.2
    """The code's 2e-4."""
    final_rate: Share = 0.001
    """The code's 1e-6."""
    horizon: float = 1.25
    """Length that rate, decay and momentum are planned for, in lengths of the run, which cuts them off."""
    weight_decay: float = 0.04
    final_weight_decay: float = 0.4
    """To which the weight decay rises."""
    clip: float = 3.0
    """The largest norm of the gradient."""
    views: str = "msn"
    locals: int = 10
    """Small views of each image."""
    ratio: Share = 0.15
    """Share of its patches that the large anchor drops."""
    prototypes: Count = 1024
    """Their number."""
    hidden: Count = 2048
    """Width of the projection's hidden layers."""
    dim: Count = 256
    """Width of the projection."""
    momentum: Share = 0.996
    """Of the teacher at the start; it rises to 1 in a line."""
    temperature: float = 0.1
    """Of the softmax over prototypes."""
    sharpening: float = 0.25
    """Targets are raised to the power of its inverse."""
    entropy_weight: float = 1.0
    """Of the mean prediction's entropy."""

    def rate(self, data: DataInfo):
        ends = dict(start=self.start_rate * self.peak_rate, end=self.final_rate * self.peak_rate)
        warmup = self.span(self.warmup, data)
        return warmup_cosine(self.peak_rate, steps=self.planned(data), warmup=warmup, **ends)

    def planned(self, data: DataInfo) -> int:
        """How many steps the schedules are made for."""
        return round(self.horizon * self.length(data))

    def build(self, data: DataInfo) -> Experiment:
        network, steps = self.network(hides="visible"), self.planned(data)
        method = msn(
            network,
            prototypes=self.prototypes,
            head=msn_head(self.dim, hidden=self.hidden),
            ratio=self.ratio,
            momentum=linear(self.momentum, 1.0, steps),
            temperature=self.temperature,
            sharpening=self.sharpening,
            entropy_weight=self.entropy_weight,
        )
        decay = cosine(self.weight_decay, self.final_weight_decay, steps)
        clipped = optax.masked(clip_by_global_norm(self.clip), all_but("scores"))
        decayed = adamw(self.rate(data), weight_decay=decay, decays=all_but("scores", weights_and_tokens))
        optimizer, views = optax.chain(clipped, decayed), self.make_views(data, locals=self.locals)
        return self.experiment(data, method, optimizer=optimizer, network=network, views=views)


SOURCES = {
    "": "facebookresearch/msn, configs/pretrain/msn_vits16.yaml",
    "batch": "the configuration's 64 on 16 GPUs",
    "horizon": "src/msn_train.py",
    "momentum": "src/msn_train.py",
    "views": "src/data_manager.py; patches are dropped image by image, there GPU by GPU",
}

demo = MSN(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=300,
    warmup=1,
    start_rate=0.0,
    final_rate=0.0,
    horizon=1.0,
    locals=0,
    ratio=0.25,
    prototypes=64,
    hidden=256,
    dim=64,
    momentum=0.99,
)

if __name__ == "__main__":
    main(demo)
