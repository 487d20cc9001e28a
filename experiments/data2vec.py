"""data2vec, arXiv:2202.03555."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import optax

from jssl.methods import data2vec
from jssl.models import RelativePositionBias, depth_scaled, read_mean
from jssl.optim import adamw, all_but_class_token, clip_by_global_norm
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main

VIT: dict[str, Any] = dict(
    positions=None,
    attention_bias=RelativePositionBias(table_init=nn.initializers.zeros),
    qkv_bias=(True, False, True),
    readout=read_mean,
    start=depth_scaled,
)


@dataclass(frozen=True)
class Data2Vec(Training):
    """data2vec: from an image with mask tokens, the mean of a teacher's last blocks is predicted.
    arXiv:2202.03555

    jssl train data2vec --demo                                              # a few minutes on a CPU
    jssl train data2vec --data tfds:imagenet2012 --out gs://bucket/data2vec # on a pod

    The paper: ViT-B/16, batch 2048, ImageNet, 800 epochs: fine-tuned 84.2 %. The authors also drop 5 % of the
    attention weights, which is left out here. The log's `target_std` is 0 where the teacher has collapsed.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 2048
    epochs: float = 800
    warmup: float = 10
    learning_rate: float = 2e-3
    rate_per: Count | None = None
    final_rate: Share = 0.005
    """The code's 1e-5."""
    weight_decay: float = 0.05
    views: str = "data2vec"
    clip: float = 3.0
    """The largest norm of the gradient."""
    drop_path: Share = 0.25
    """Stochastic depth of the last block."""
    layer_scale: float | None = 1e-4
    """The first factor of each branch; None: none."""
    initial: float | None = 0.02
    """Deviation of the first weights, which are cut at one deviation; None: the encoder's own."""
    layers: Count = 6
    """How many of the teacher's last blocks make the target."""
    ratio: Share = 0.6125
    """Share of the patches hidden in blocks; 120 of 196."""
    momentum: Share = 0.9998
    """Of the teacher."""
    beta: float = 2.0
    """Where the error turns from a square to a line."""

    def build(self, data: DataInfo) -> Experiment:
        own = VIT | dict(layer_scale=self.layer_scale, drop_path=self.drop_path)
        if self.initial is not None:
            near = nn.initializers.truncated_normal(self.initial, lower=-1.0, upper=1.0)
            own |= dict(kernel_init=near, token_init=near)
        network = self.network(hides="mask", **own)
        method = data2vec(
            network, layers=self.layers, ratio=self.ratio, momentum=self.momentum, beta=self.beta
        )
        decayed = adamw(self.rate(data), weight_decay=self.weight_decay, decays=all_but_class_token)
        optimizer = optax.chain(clip_by_global_norm(self.clip), decayed)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "facebookresearch/data2vec_vision, beit/README.md, ViT-B",
    "batch": "beit/README.md: 16 GPUs of 128",
    "final_rate": "beit/run_cyclical.py",
    "initial": "beit/modeling_cyclical.py",
    "views": "beit/datasets.py",
}

demo = Data2Vec(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    views="mae",
    batch=64,
    epochs=10,
    steps=600,
    warmup=1,
    learning_rate=1e-3,
    final_rate=0.0,
    drop_path=0.0,
    layer_scale=None,
    initial=None,
    layers=2,
    momentum=0.998,
)

if __name__ == "__main__":
    main(demo)
