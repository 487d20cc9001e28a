"""CMAE, arXiv:2207.13532."""

from dataclasses import dataclass
from typing import Any

from jssl.methods import cmae
from jssl.models import MaskedDecoder, byol_head, mae_decoder, sincos_positions, xavier
from jssl.optim import adamw, and_scales_of
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class CMAE(Training):
    """CMAE: a masked autoencoder that also contrasts its features with a teacher's of a slightly shifted
    view.  arXiv:2207.13532

    jssl train cmae --demo                                                  # a few minutes on a CPU
    jssl train cmae --data tfds:imagenet2012 --out gs://bucket/cmae         # on a pod

    The paper: ViT-B/16, batch 4096, ImageNet, 300 epochs: fine-tuned 83.8 %; 84.7 % after 1600. Squares of
    2 x 2 patches are hidden, 65 % of them, as the authors' configuration has it; the paper says 75 %. As
    there, the norms' scales in projection and prediction decay. The log's `patch/trivial` is the loss of the
    mean patch.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 4096
    epochs: float = 300
    warmup: float = 40
    learning_rate: float = 1.5e-4
    rate_per: Count | None = 256
    start_rate: Share = 0.0001
    final_rate: Share = 0.0
    weight_decay: float = 0.05
    views: str = "cmae"
    color: float = 1.0
    """Strength of the color distortion of what the teacher sees."""
    ratio: Share = 0.65
    """Share of the units hidden."""
    unit: Count = 2
    """Side of what is hidden at once, in patches."""
    momentum: Share = 0.996
    """Of the teacher."""
    contrast: float = 1.0
    """Weight of the contrast."""
    temperature: float = 0.07
    """Of the contrast."""
    hidden: Count = 1536
    """Width of the hidden layer of projection and prediction."""
    dim: Count = 256
    """Width of projection and prediction."""
    decoder_dim: Count = 512
    """Width of both decoders."""
    decoder_depth: Count = 8
    """Blocks of the decoder of pixels."""
    describer_depth: Count = 2
    """Blocks of the decoder whose mean token stands for the image."""
    decoder_heads: Count = 16
    """Heads of both decoders."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(hides="visible", positions=sincos_positions, kernel_init=xavier)
        sizes: dict[str, Any] = dict(dim=self.decoder_dim, heads=self.decoder_heads, attend=self.attend)
        method = cmae(
            network,
            decoder=mae_decoder(network.patch, depth=self.decoder_depth, **sizes),
            describer=MaskedDecoder(network.dim, depth=self.describer_depth, **sizes),
            projection=byol_head(self.dim, hidden=self.hidden),
            prediction=byol_head(self.dim, hidden=self.hidden),
            ratio=self.ratio,
            unit=self.unit,
            momentum=self.momentum,
            contrast=self.contrast,
            temperature=self.temperature,
        )
        decays = and_scales_of("projection", "prediction")
        optimizer = adamw(self.rate(data), b2=0.95, weight_decay=self.weight_decay, decays=decays)
        views = self.make_views(data, strength=self.color)
        return self.experiment(data, method, optimizer=optimizer, network=network, views=views)


SOURCES = {
    "": "ZhichengHuang/CMAE, configs/pre-training/cmae/cmae_vit-base-p16_32xb128-coslr-300e_in1k.py",
    "batch": "the configuration's 128 on 32 GPUs",
    "views": "cmae/datasets/cmae_dataset.py",
    "color": "cmae/datasets/cmae_dataset.py",
    "weight_decay": "the configuration's custom_keys: ln and bias, which bn0's weight is not",
    "unit": "cmae/models/backbones/cmae_vit.py",
}

demo = CMAE(
    encoder="vit_n4",
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=600,
    warmup=1,
    learning_rate=1.5e-3,
    rate_per=None,
    start_rate=0.0,
    color=0.0,
    momentum=0.99,
    temperature=0.2,
    hidden=256,
    dim=64,
    decoder_dim=64,
    decoder_depth=1,
    describer_depth=1,
    decoder_heads=4,
)

if __name__ == "__main__":
    main(demo)
