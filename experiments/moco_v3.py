"""MoCo v3, arXiv:2104.02057."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import optax

from jssl.methods import moco_v3
from jssl.models import moco_v3_head, sincos_positions_rows_first, xavier_apart
from jssl.optim import adamw, everything, freeze_during, lars, teacher_momentum
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class MoCoV3(Training):
    """MoCo v3: the momentum encoder's key of the other view is predicted, among those of a large batch.
    arXiv:2104.02057

    jssl train moco_v3 --demo                                               # a few minutes on a CPU
    jssl train moco_v3 --data tfds:imagenet2012 --out gs://bucket/moco_v3   # on a pod

    The paper: ViT-B/16, batch 4096, ImageNet, 300 epochs: linear 76.7 % top-1. Its patch projection stays as
    it was drawn, positions are fixed, and everything decays, as in the authors' code, whose ViT-S has 12
    heads (`vit_s16` has 6). `resnet` on this page is their ResNet-50 of 100 epochs, 68.9 %.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 4096
    epochs: float = 300
    warmup: float = 40
    learning_rate: float = 1.5e-4
    rate_per: Count | None = 256
    final_rate: float = 0.0
    weight_decay: float = 0.1
    optimizer: Literal["adamw", "lars"] = "adamw"
    """AdamW decays everything; LARS all but biases and norms."""
    frozen_patches: bool = True
    """Leave a ViT's patch projection as it was drawn."""
    views: str = "moco_v3"
    scale: tuple[Share, Share] = (0.08, 1.0)
    """Least and most area of the crops."""
    temperature: float = 0.2
    """Of the contrast."""
    momentum: Share = 0.99
    """Of the key encoder at the start; it rises to 1."""
    layers: Count = 3
    """Of the projection."""
    predictor_norm: bool = True
    """Let a batch norm end the prediction."""
    hidden: Count = 4096
    """Width of the hidden layers of projection and prediction."""
    dim: Count = 256
    """Width of projection and prediction."""

    def build(self, data: DataInfo) -> Experiment:
        near = nn.initializers.normal(1e-6)
        fixed = dict(positions=sincos_positions_rows_first, kernel_init=xavier_apart, token_init=near)
        network = self.network(where_it_has=fixed | dict(last_scale=nn.initializers.zeros))
        method = moco_v3(
            network,
            head=moco_v3_head(self.dim, hidden=self.hidden, layers=self.layers),
            predictor=moco_v3_head(self.dim, hidden=self.hidden, layers=2, last_norm=self.predictor_norm),
            temperature=self.temperature,
            momentum=teacher_momentum(self.momentum, self.length(data)),
        )
        kinds: dict[str, Any] = dict(adamw=partial(adamw, decays=everything), lars=lars)
        optimizer = kinds[self.optimizer](self.rate(data), weight_decay=self.weight_decay)
        if self.frozen_patches and self.lora is None and hasattr(network, "patch"):  # LoRA holds them too
            still = freeze_during(math.inf, lambda path: path[:2] == ("encoder", "stem"))
            optimizer = optax.chain(optimizer, still)
        views = self.make_views(data, scale=self.scale)
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


SOURCES = {
    "": "facebookresearch/moco-v3, CONFIG.md and main_moco.py",
    "layers": "moco/builder.py",
    "predictor_norm": "moco/builder.py",
    "frozen_patches": "vits.py, --stop-grad-conv1",
}

resnet = MoCoV3(
    encoder="resnet50",
    epochs=100,
    warmup=10,
    learning_rate=0.6,
    weight_decay=1e-6,
    optimizer="lars",
    scale=(0.2, 1.0),
    temperature=1.0,
    layers=2,
    predictor_norm=False,
)

demo = MoCoV3(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    views="crops",
    scale=(0.4, 1.0),
    batch=64,
    epochs=10,
    steps=500,
    warmup=1,
    learning_rate=1e-3,
    rate_per=None,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
