"""I-JEPA, arXiv:2301.08243."""

from dataclasses import dataclass
from functools import partial

from jssl import masks
from jssl.methods import i_jepa
from jssl.models import Predictor, sincos_positions
from jssl.optim import adamw, cosine, linear
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class IJEPA(Training):
    """I-JEPA: from one context block, a teacher's features of several target blocks are predicted.
    arXiv:2301.08243

    jssl train i_jepa --demo                                                # a few minutes on a CPU
    jssl train i_jepa --data tfds:imagenet2012 --out gs://bucket/ijepa      # on a pod

    The paper: ViT-B/16, batch 2048, ImageNet, 600 epochs: linear 72.9 %; ViT-H/14, 300 epochs: 79.3 %, 72
    hours on 16 A100.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 2048
    epochs: float = 600
    warmup: float = 40
    learning_rate: float = 1e-3
    rate_per: Count | None = None
    final_rate: float = 0.001
    weight_decay: float = 0.04
    final_weight_decay: float = 0.4
    """To which the weight decay rises."""
    views: str = "mae"
    momentum: Share = 0.996
    """Of the teacher at the start; it rises to 1 in a line."""
    min_keep: Count = 10
    """Patches that a context has at least."""
    predictor_dim: Count = 384
    """Width of the predictor."""
    predictor_depth: Count = 6
    """Its blocks."""
    predictor_heads: Count = 12
    """Its heads."""

    def build(self, data: DataInfo) -> Experiment:
        network, steps = (
            self.network(hides="visible", class_token=False, positions=sincos_positions),
            self.length(data),
        )
        init = dict(kernel_init=network.kernel_init)
        method = i_jepa(
            network,
            predictor=Predictor(self.predictor_dim, self.predictor_depth, self.predictor_heads, **init),
            momentum=linear(self.momentum, 1.0, steps),
            masking=partial(masks.multiblock_masks, min_keep=self.min_keep),
        )
        decay = cosine(self.weight_decay, self.final_weight_decay, steps)
        optimizer = adamw(self.rate(data), weight_decay=decay)
        views = self.make_views(data, scale=(0.3, 1.0))
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


demo = IJEPA(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=600,
    warmup=1,
    learning_rate=2e-3,
    final_rate=0.0,
    min_keep=6,
    predictor_dim=48,
    predictor_depth=2,
    predictor_heads=3,
)

if __name__ == "__main__":
    main(demo)
