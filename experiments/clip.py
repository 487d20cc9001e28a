"""CLIP, arXiv:2103.00020."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import flax.linen as nn

from jssl.data.sources import scenes
from jssl.methods import clip
from jssl.models import (
    LearnedPositions,
    Mlp,
    PatchEmbed,
    clip_image_init,
    encoder,
    layer_norm,
    quick_gelu,
)
from jssl.optim import adamw, weights_and_tokens
from jssl.run import Count, Data, DataInfo, Experiment, Texts, caption_figure, main


@dataclass(frozen=True)
class CLIP(Texts):
    """CLIP: every image's caption is found in the batch, and every caption's image.  arXiv:2103.00020

    jssl train clip --demo                                                  # a few minutes on a CPU

    Data needs token ids under "caption": `scenes`, or a `Source` of your own,
    `jssl.run("clip", data=source)`, whose captions `jssl.data.bpe_tokenizer` of CLIP's vocabulary file has
    encoded.

    The paper: ViT-B/32, batch 32,768, 400 million pairs, 32 epochs: zero-shot ImageNet 63.2 %. The pairs are
    not published. Images are never mirrored; tokens and position tables decay.
    """

    data: Data = "scenes"
    encoder: str = "vit_b32"
    batch: Count = 32_768
    epochs: float = 32
    warmup: float = 0.16
    """Epochs in which the learning rate rises: the paper's 2,000 steps."""
    learning_rate: float = 5e-4
    rate_per: Count | None = None
    final_rate: float = 0.0
    weight_decay: float = 0.2
    views: str = "clip"
    text: str = "text_b"
    vocabulary: Count = 49_408
    caption_length: Count = 77
    end: Literal["largest", "last"] = "largest"
    dim: Count = 512
    """Of the joint space."""

    def image_network(self):
        """Makes CLIP's image transformer; another encoder is taken as it is."""
        if not self.encoder.startswith("vit"):
            return self.network()
        near = nn.initializers.normal(encoder(self.encoder).dim ** -0.5)
        return self.network(
            norm_input=True,
            stem=partial(PatchEmbed, use_bias=False),
            mlp=partial(Mlp, activation=quick_gelu),
            norm=partial(layer_norm, epsilon=1e-5),
            kernel_init=clip_image_init,
            token_init=near,
            positions=LearnedPositions(table_init=near),
        )

    def build(self, data: DataInfo) -> Experiment:
        network = self.image_network()
        method = clip(network, self.text_network(data), dim=self.dim)
        optimizer = adamw(
            self.rate(data), b2=0.98, eps=1e-6, weight_decay=self.weight_decay, decays=weights_and_tokens
        )
        return self.experiment(
            data,
            method,
            optimizer=optimizer,
            network=network,
            figures=caption_figure(method, self.view(data)),
        )


SOURCES = {
    "": "the paper, appendix F",
    "vocabulary": "openai/CLIP, clip/simple_tokenizer.py",
    "caption_length": "openai/CLIP, clip/clip.py",
    "end": "openai/CLIP, clip/model.py",
    "views": "mlfoundations/open_clip",
    "warmup": "the paper: 2000 steps",
}

demo = CLIP(
    encoder="vit_n8",
    data="scenes:color",
    batch=64,
    epochs=10,
    steps=600,
    warmup=1,
    learning_rate=1e-3,
    text="text_n",
    vocabulary=len(scenes.WORDS),
    caption_length=scenes.CAPTION_LENGTH,
    end="last",
    dim=64,
)

if __name__ == "__main__":
    main(demo)
