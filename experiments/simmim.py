"""SimMIM, arXiv:2111.09886."""

from dataclasses import dataclass
from typing import Any

from jssl.methods import simmim
from jssl.models import RelativePositionBias
from jssl.optim import adamw
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main, reconstruction_figure

VIT: dict[str, Any] = dict(
    positions=None, attention_bias=RelativePositionBias(), layer_scale=0.1, drop_path=0.1
)  # Swin has its own


@dataclass(frozen=True)
class SimMIM(Training):
    """SimMIM: mask tokens enter the encoder, one linear layer predicts the hidden pixels.  arXiv:2111.09886

    jssl train simmim --demo                                                # a few minutes on a CPU
    jssl train simmim --encoder swin_b --size 192 --side 32                 # Swin-B
    jssl train simmim --data tfds:imagenet2012 --out gs://bucket/simmim     # on a pod

    The paper: ViT-B/16, batch 2048, ImageNet, 800 epochs: fine-tuned 83.8 %, linear 56.7 %; Swin-B 84.0 %
    fine-tuned.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 2048
    epochs: float = 800
    warmup: float = 20
    learning_rate: float = 1e-4
    rate_per: Count | None = 512
    final_rate: float = 0.0
    weight_decay: float = 0.05
    views: str = "mae"
    side: Count = 16
    """Pixels that one of the encoder's last tokens covers: the patch of a ViT, 32 for Swin."""
    ratio: Share = 0.6
    """Share hidden."""
    unit: Count = 32
    """Side in pixels of what is hidden at once."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(hides="mask", **({} if self.encoder.startswith("swin") else VIT))
        method = simmim(network, side=self.side, ratio=self.ratio, unit=self.unit)
        return self.experiment(
            data,
            method,
            optimizer=adamw(self.rate(data), weight_decay=self.weight_decay),
            views=self.make_views(data, scale=(0.67, 1.0)),
            network=network,
            figures=reconstruction_figure(method, self.view(data), patch=self.side),
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
    side=8,
    unit=8,
)

if __name__ == "__main__":
    main(demo)
