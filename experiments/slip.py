"""SLIP, arXiv:2112.12750."""

from dataclasses import dataclass

from jssl.data.sources import scenes
from jssl.methods import slip
from jssl.models import last_place, simclr_head, text_encoder
from jssl.optim import adamw
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class SLIP(Training):
    """SLIP: CLIP and SimCLR on one image encoder.  arXiv:2112.12750

    jssl train slip --demo                                                  # a few minutes on a CPU

    Data needs token ids under "caption": `scenes`, or a `Source` of your own,
    `jssl.run("slip", data=source)`.

    The paper: ViT-B/16, batch 4096, YFCC15M, 25 epochs: zero-shot ImageNet 42.8 % (CLIP alone 37.6 %).
    """

    data: Data = "scenes"
    encoder: str = "vit_b16"
    batch: Count = 4096
    epochs: float = 25
    warmup: float = 1
    learning_rate: float = 3e-3
    rate_per: Count | None = None
    final_rate: float = 0.0
    weight_decay: float = 0.1
    views: str = "simclr"
    text: str = "text_b"
    """The size of the text transformer, text_n to text_h."""
    vocabulary: Count = len(scenes.WORDS)
    """Number of different token ids."""
    dim: Count = 512
    """Of the joint space."""
    weight: float = 1.0
    """Of SimCLR's term."""
    temperature: float = 0.1
    """Of SimCLR's contrast."""
    hidden: Count = 4096
    """Width of SimCLR's hidden layers."""
    features: Count = 256
    """Width of SimCLR's projection."""

    def build(self, data: DataInfo) -> Experiment:
        network, (length,) = self.network(), data.extra("caption")
        text = text_encoder(self.text, vocabulary=self.vocabulary, length=length, end=last_place)
        head = simclr_head(self.features, hidden=self.hidden, layers=3)
        method = slip(
            network, text, dim=self.dim, head=head, temperature=self.temperature, weight=self.weight
        )
        optimizer = adamw(self.rate(data), b2=0.98, weight_decay=self.weight_decay)
        views = self.make_views(data, scale=(0.5, 1.0))
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


demo = SLIP(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=200,
    warmup=1,
    learning_rate=1e-3,
    text="text_n",
    dim=64,
    hidden=256,
    features=64,
)

if __name__ == "__main__":
    main(demo)
