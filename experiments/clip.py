"""CLIP, arXiv:2103.00020."""

from dataclasses import dataclass

from jssl.data.sources import scenes
from jssl.methods import clip
from jssl.models import last_place, text_encoder
from jssl.optim import adamw
from jssl.run import Count, Data, DataInfo, Experiment, Training, caption_figure, main


@dataclass(frozen=True)
class CLIP(Training):
    """CLIP: every image finds its caption in the batch, and every caption its image.  arXiv:2103.00020

    jssl train clip --demo                                                  # a few minutes on a CPU

    Data needs token ids under "caption": `scenes`, or a `Source` of your own,
    `jssl.run("clip", data=source)`.

    The paper: ViT-B/32, batch 32,768, 400 million pairs, 32 epochs: zero-shot ImageNet 63.2 %; ViT-L/14
    took 12 days on 256 V100.
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
    views: str = "mae"
    text: str = "text_b"
    """The size of the text transformer, text_n to text_h."""
    vocabulary: Count = len(scenes.WORDS)
    """Number of different token ids."""
    dim: Count = 512
    """Of the joint space."""

    def build(self, data: DataInfo) -> Experiment:
        network, (length,) = self.network(), data.extra("caption")
        text = text_encoder(self.text, vocabulary=self.vocabulary, length=length, end=last_place)
        method = clip(network, text, dim=self.dim)
        return self.experiment(
            data,
            method,
            optimizer=adamw(self.rate(data), b2=0.98, eps=1e-6, weight_decay=self.weight_decay),
            views=self.make_views(data, scale=(0.9, 1.0)),
            network=network,
            figures=caption_figure(method, self.view(data)),
        )


demo = CLIP(
    encoder="vit_n8",
    data="scenes:color",
    batch=64,
    epochs=10,
    steps=600,
    warmup=1,
    learning_rate=1e-3,
    text="text_n",
    dim=64,
)

if __name__ == "__main__":
    main(demo)
