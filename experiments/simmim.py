"""SimMIM, arXiv:2111.09886."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import optax

from jssl.methods import simmim
from jssl.models import RelativePositionBias, depth_scaled, read_mean
from jssl.optim import adamw, all_but_class_token, clip_by_global_norm, weights
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main, reconstruction_figure

NEAR = nn.initializers.truncated_normal(0.02, lower=-1.0, upper=1.0)  # the authors' ViT cuts at one deviation
VIT: dict[str, Any] = dict(
    positions=None,
    attention_bias=RelativePositionBias(table_init=nn.initializers.zeros),
    layer_scale=0.1,
    readout=read_mean,
    start=depth_scaled,
    kernel_init=NEAR,
    token_init=NEAR,
)


@dataclass(frozen=True)
class SimMIM(Training):
    r"""SimMIM: mask tokens enter the encoder, one linear layer predicts the hidden pixels.  arXiv:2111.09886

    jssl train simmim --demo                                                # a few minutes on a CPU
    jssl train simmim --data tfds:imagenet2012 --out gs://bucket/simmim     # on a pod

    The paper: ViT-B/16, batch 2048, ImageNet, 800 epochs: fine-tuned 83.8 %, linear 56.7 % on mean patches.
    `swin`, below, is the authors' Swin-B of 100 epochs at 192 pixels: fine-tuned 82.8 %, or 83.5 % at 224.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 2048
    epochs: float = 800
    warmup: float = 10
    learning_rate: float = 1e-4
    rate_per: Count | None = 512
    start_rate: float = 0.005
    """The code's 5e-7 per 512 images."""
    final_rate: float = 0.1
    drops: tuple[float, ...] = (700,)
    weight_decay: float = 0.05
    views: str = "simmim"
    clip: float = 5.0
    """The largest norm of the gradient."""
    drop_path: Share = 0.1
    """Stochastic depth of the last block."""
    window: Count = 6
    """Side of Swin's windows, in tokens."""
    side: Count = 16
    """Pixels that one of the encoder's last tokens covers: the patch of a ViT, 32 for Swin."""
    ratio: Share = 0.6
    """Share hidden."""
    unit: Count = 32
    """Side in pixels of what is hidden at once."""

    def build(self, data: DataInfo) -> Experiment:
        swin = self.encoder.startswith("swin")
        own = dict(window=self.window) if swin else VIT
        network = self.network(hides="mask", drop_path=self.drop_path, **own)
        method = simmim(network, side=self.side, ratio=self.ratio, unit=self.unit)
        decays = weights if swin else all_but_class_token
        decayed = adamw(self.rate(data), weight_decay=self.weight_decay, decays=decays)
        seen: Any = dict(patch=self.side, normalized=self.normalization)
        pictures = reconstruction_figure(method, self.view(data), **seen)
        return self.experiment(
            data,
            method,
            optimizer=optax.chain(clip_by_global_norm(self.clip), decayed),
            network=network,
            figures=pictures,
        )


SOURCES = {
    "": "microsoft/SimMIM, configs/vit_base__800ep",
    "clip": "config.py",
    "batch": "README: 16 GPUs of 128",
    "views": "data/data_simmim.py",
    "window": "configs/swin_base__100ep",
}

swin = SimMIM(
    encoder="swin_b",
    size=192,
    side=32,
    epochs=100,
    learning_rate=2e-4,
    final_rate=0.05,
    drops=(),
    drop_path=0.0,
)

demo = SimMIM(
    encoder="swin_n",
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=600,
    warmup=1,
    learning_rate=1e-3,
    rate_per=None,
    start_rate=0.0,
    final_rate=0.0,
    drops=(),
    drop_path=0.0,
    window=4,
    side=8,
    unit=8,
)

if __name__ == "__main__":
    main(demo)
