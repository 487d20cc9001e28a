"""FLIP, arXiv:2212.00794."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax

from jssl.data.sources import scenes
from jssl.methods import flip
from jssl.models import Mlp, layer_norm, read_mean_of_all, sincos_positions, xavier
from jssl.optim import adamw, all_but_positions
from jssl.run import Count, Data, DataInfo, Experiment, Share, Texts, caption_figure, main


@dataclass(frozen=True)
class FLIP(Texts):
    """FLIP: CLIP on images of which half of the patches is dropped in training.  arXiv:2212.00794

    jssl train flip --demo                                                  # a few minutes on a CPU
    jssl train flip --start runs/flip --ratio 0 --learning-rate 4e-8 --epochs 0.32 --warmup 0.064

    Data needs token ids under "caption": `scenes`, or a `Source` of your own,
    `jssl.run("flip", data=source)`.

    The paper: ViT-B/16, batch 65,536, LAION-400M, 32 epochs, then tuned on whole images (the second
    command, `tuning` on this page): zero-shot ImageNet 68.0 %. Images are mirrored, an image is the mean of
    all its tokens and a caption its first one, seen without a causal mask, as in the authors' code.
    """

    data: Data = "scenes"
    encoder: str = "vit_b16"
    batch: Count = 65_536
    epochs: float = 32
    warmup: float = 0.128
    """Epochs in which the learning rate rises: the code's 40 of 10,000 epochs of ImageNet's length."""
    learning_rate: float = 4e-6
    rate_per: Count | None = 256
    continued_rate: Share = 1.0
    layer_decay: Share | None = 1.0
    final_rate: float = 0.0
    weight_decay: float = 0.2
    views: str = "mae"
    scale: tuple[Share, Share] = (0.5, 1.0)
    """Least and most area of the crops."""
    ratio: Share = 0.5
    """Of the patches that are not shown."""
    text: str = "text_b"
    vocabulary: Count = 30_523
    caption_length: Count = 32
    end: Literal["largest", "last", "first"] = "first"
    dim: Count = 512
    """Of the joint space."""

    def build(self, data: DataInfo) -> Experiment:
        how: dict[str, Any] = dict(mlp=partial(Mlp, activation=jax.nn.gelu), kernel_init=xavier)
        network = self.network(hides="visible", positions=sincos_positions, readout=read_mean_of_all, **how)
        own = dict(causal=False, norm=layer_norm, position_init=nn.initializers.normal(0.02))
        text = self.text_network(data, **own, **how)
        method = flip(network, text, ratio=self.ratio, dim=self.dim)
        whole = flip(network, text, ratio=0.0, dim=self.dim)
        return self.experiment(
            data,
            method,
            optimizer=adamw(
                self.rate(data), b2=0.95, weight_decay=self.weight_decay, decays=all_but_positions
            ),
            views=self.make_views(data, scale=self.scale),
            network=network,
            figures=caption_figure(whole, self.view(data)),
        )


tuning = FLIP(ratio=0.0, learning_rate=4e-8, epochs=0.32, warmup=0.064)

SOURCES = {
    "": "facebookresearch/flip, configs/default.py, configs/cfg_flip_base.py and README",
    "vocabulary": "configs/default.py: BERT's, and one more",
    "weight_decay": "configs/default.py; t5x/train_state_initializer.py: also of class token and logit scale",
    "continued_rate": "README: tuning has a rate of its own",
    "end": "models_flip.py, txt_avg_token",
    "views": "utils/transform_util.py",
}

demo = FLIP(
    encoder="vit_n4",
    data="scenes:color",
    size=24,
    views="clip",
    scale=(0.9, 1.0),
    batch=64,
    epochs=10,
    steps=600,
    warmup=1,
    learning_rate=1e-3,
    rate_per=None,
    text="text_n",
    vocabulary=len(scenes.WORDS),
    caption_length=scenes.CAPTION_LENGTH,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
