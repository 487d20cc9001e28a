"""SiT, arXiv:2104.03602."""

from dataclasses import dataclass

import optax

from jssl.data.views import corrupted
from jssl.methods import sit
from jssl.models import sit_head
from jssl.optim import adamw, clip_by_parameter_norm, cosine, teacher_momentum, weights_and_tokens
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class SiT(Training):
    """SiT: groups of pixels are corrupted and restored, while the class tokens of two views are contrasted.
    arXiv:2104.03602

    jssl train sit --demo                                                   # a few minutes on a CPU
    jssl train sit --data tfds:imagenet2012 --out gs://bucket/sit           # on a pod

    The paper: ViT-S/16, ImageNet, 800 epochs; its figures are of fine-tuned networks, and none is quoted
    here. For small data the authors advise a weight of 5 on the pixels. In their code an image is filled
    either with zeros or with another.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_s16"
    batch: Count = 256
    epochs: float = 800
    warmup: float = 10
    learning_rate: float = 5e-4
    rate_per: Count | None = 256
    final_rate: Share = 0.002
    """The code's 1e-6."""
    weight_decay: float = 0.04
    final_weight_decay: float = 0.1
    """To which the weight decay rises."""
    views: str = "byol"
    crop: tuple[Share, Share] = (0.2, 1.0)
    """Least and most share of an image that a crop shows."""
    clip: float = 3.0
    """The largest norm of each parameter's gradient."""
    drop_path: Share = 0.1
    """Stochastic depth of the student's last block."""
    drop: Share = 0.5
    """Share of the pixels of a view that are filled with zeros, at least."""
    replace: Share = 0.3
    """Share of those of the other views that another image fills."""
    replaced: Share = 0.5
    """Share of the views that another image fills."""
    side: Share = 0.3
    """Of a rectangle, in shares of the image's, at most."""
    momentum: Share = 0.996
    """Of the teacher at the start; it rises to 1."""
    restoration: float = 1.0
    """Weight of the corrupted pixels."""
    temperature: float = 0.2
    """Of the contrast."""
    hidden: Count = 4096
    """Width of the projection's hidden layers."""
    dim: Count = 256
    """Width of the projection."""

    def build(self, data: DataInfo) -> Experiment:
        network, steps = self.network(hides="mask", drop_path=self.drop_path), self.length(data)
        method = sit(
            network,
            head=sit_head(self.dim, hidden=self.hidden),
            momentum=teacher_momentum(self.momentum, steps),
            restoration=self.restoration,
            temperature=self.temperature,
            channels=data.image[-1],
        )
        decay = cosine(self.weight_decay, self.final_weight_decay, steps)
        decayed = adamw(self.rate(data), weight_decay=decay, decays=weights_and_tokens)
        optimizer = optax.chain(clip_by_parameter_norm(self.clip), decayed)
        shares = dict(drop=self.drop, replace=self.replace, replaced=self.replaced, side=self.side)
        views = corrupted(self.make_views(data, scale=self.crop), **shares)
        return self.experiment(data, method, optimizer=optimizer, network=network, views=views)


SOURCES = {
    "": "Sara-Ahmed/SiT, main.py",
    "batch": "README: 4 GPUs of 64",
    "crop": "datasets/datasets_utils.py",
    "replaced": "datasets/datasets_utils.py",
    "side": "datasets/datasets_utils.py",
    "hidden": "vision_transformer.py",
}

demo = SiT(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    views="crops",
    crop=(0.4, 1.0),
    batch=64,
    epochs=10,
    steps=400,
    warmup=1,
    learning_rate=1e-3,
    rate_per=None,
    final_rate=0.0,
    drop_path=0.0,
    momentum=0.99,
    restoration=5.0,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
