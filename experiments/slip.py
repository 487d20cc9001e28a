"""SLIP, arXiv:2112.12750."""

from dataclasses import dataclass
from typing import Literal

from jssl.data.sources import scenes
from jssl.methods import slip
from jssl.models import slip_head
from jssl.optim import adamw, weights_and_tokens
from jssl.run import Count, Data, DataInfo, Experiment, Share, Texts, main


@dataclass(frozen=True)
class SLIP(Texts):
    """SLIP: CLIP and SimCLR on one image encoder.  arXiv:2112.12750

    jssl train slip --demo                                                  # a few minutes on a CPU

    Data needs token ids under "caption": `scenes`, or a `Source` of your own,
    `jssl.run("slip", data=source)`.

    The paper: ViT-B/16, batch 4096, YFCC15M, 25 epochs: zero-shot ImageNet 42.8 % (CLIP alone 37.6 %), linear
    72.1 %. The caption meets a plain crop, SimCLR compares two other views; tokens and position tables decay.
    """

    data: Data = "scenes"
    encoder: str = "vit_b16"
    batch: Count = 4096
    epochs: float = 25
    warmup: float = 1
    learning_rate: float = 3e-3
    rate_per: Count | None = None
    start_rate: float = 1 / 3000
    """The code's 1e-6."""
    final_rate: float = 1 / 300
    """The code's 1e-5."""
    weight_decay: float = 0.1
    views: str = "slip"
    contrast_scale: tuple[Share, Share] = (0.08, 1.0)
    """Least and most area of the crops that SimCLR compares."""
    color: float = 1.0
    """Strength of their color distortion."""
    text: str = "text_b"
    vocabulary: Count = 49_408
    caption_length: Count = 77
    end: Literal["largest", "last"] = "largest"
    dim: Count = 512
    """Of the joint space."""
    weight: float = 1.0
    """Of SimCLR's term."""
    temperature: float = 0.1
    """Of SimCLR's contrast."""
    hidden: Count = 4096
    """Width of SimCLR's hidden layers."""
    ssl_dim: Count = 256
    """Width of SimCLR's projection."""

    def build(self, data: DataInfo) -> Experiment:
        network, head = self.network(), slip_head(self.ssl_dim, hidden=self.hidden)
        method = slip(
            network,
            self.text_network(data),
            dim=self.dim,
            head=head,
            temperature=self.temperature,
            weight=self.weight,
        )
        optimizer = adamw(self.rate(data), b2=0.98, weight_decay=self.weight_decay, decays=weights_and_tokens)
        views = self.make_views(data, contrast_scale=self.contrast_scale, strength=self.color)
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


SOURCES = {
    "": "facebookresearch/SLIP, main.py and README",
    "text": "models.py",
    "vocabulary": "models.py",
    "caption_length": "models.py",
    "end": "models.py",
    "dim": "models.py",
    "views": "datasets.py",
    "contrast_scale": "datasets.py",
    "color": "datasets.py",
}

demo = SLIP(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=200,
    warmup=1,
    learning_rate=1e-3,
    start_rate=0.0,
    final_rate=0.0,
    contrast_scale=(0.5, 1.0),
    color=0.0,
    text="text_n",
    vocabulary=len(scenes.WORDS),
    caption_length=scenes.CAPTION_LENGTH,
    end="last",
    dim=64,
    hidden=256,
    ssl_dim=64,
)

if __name__ == "__main__":
    main(demo)
