"""Masked modelling and contrast, arXiv:2305.00729."""

from dataclasses import dataclass

from jssl.methods import mim_contrast
from jssl.models import simclr_head
from jssl.optim import adamw
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class MIMContrast(Training):
    """Masked modelling and contrast over one pass, (1 - mix) L_MIM + mix L_CL.  arXiv:2305.00729

    jssl train mim_contrast --demo                                          # a few minutes on a CPU
    jssl train mim_contrast --data tfds:imagenet2012 --out gs://bucket/mix  # on a pod

    The paper: ViT-B/16, ImageNet: a mix of about 0.2 is better than either alone, both linear and fine-tuned.
    Only the mix is the paper's. Its run is not published: all other numbers are our own choice, with SimMIM's
    ratio and MoCo v3's views and temperature. The log's `mim/trivial` is the loss of the mean patch.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 1024
    epochs: float = 100
    warmup: float = 10
    learning_rate: float = 1.5e-3
    rate_per: Count | None = None
    final_rate: float = 0.0
    weight_decay: float = 0.05
    views: str = "byol"
    mix: Share = 0.2
    """Share of the contrast, lambda."""
    ratio: Share = 0.6
    """Share of patches hidden."""
    temperature: float = 0.2
    """Of the contrast."""
    hidden: Count = 2048
    """Width of the projection's hidden layer."""
    dim: Count = 128
    """Width of the projection."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(hides="mask")
        head = simclr_head(self.dim, hidden=self.hidden)
        method = mim_contrast(
            network, mix=self.mix, ratio=self.ratio, head=head, temperature=self.temperature
        )
        optimizer = adamw(self.rate(data), weight_decay=self.weight_decay)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "our own choice",
    "mix": "the paper",
    "ratio": "our own choice, as SimMIM",
    "views": "our own choice, as MoCo v3",
}

demo = MIMContrast(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=300,
    warmup=1,
    learning_rate=1e-3,
    ratio=0.5,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
