"""MAE, arXiv:2111.06377."""

from dataclasses import dataclass

from jssl.methods import mae
from jssl.models import mae_decoder, sincos_positions, xavier
from jssl.optim import adamw, weights_and_tokens
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main, reconstruction_figure


@dataclass(frozen=True)
class MAE(Training):
    """MAE: a small decoder predicts the pixels of the patches that the encoder never sees.  arXiv:2111.06377

    jssl train mae --demo                                                   # a few minutes on a CPU
    jssl train mae --data tfds:imagenet2012 --out gs://bucket/mae           # on a pod

    The paper: ViT-L/16, batch 4096, ImageNet, 800 epochs: linear 73.9 %, fine-tuned 85.4 % (table 1d; 85.5 %
    with the code); 42 hours on 64 V100. Class and mask token decay too, as in the authors' code.
    The log's `trivial` is the loss of the mean patch.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_l16"
    batch: Count = 4096
    epochs: float = 800
    warmup: float = 40
    learning_rate: float = 1.5e-4
    rate_per: Count | None = 256
    final_rate: float = 0.0
    weight_decay: float = 0.05
    views: str = "mae"
    ratio: Share = 0.75
    """Share of patches hidden."""
    normalize_target: bool = True
    """Predict pixels normalised within each patch."""
    decoder_dim: Count = 512
    """Width of the decoder."""
    decoder_depth: Count = 8
    """Its blocks."""
    decoder_heads: Count = 16
    """Its heads."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(hides="visible", positions=sincos_positions, kernel_init=xavier)
        sizes = dict(dim=self.decoder_dim, depth=self.decoder_depth, heads=self.decoder_heads)
        decoder = mae_decoder(network.patch, **sizes, attend=self.attend)
        method = mae(network, decoder=decoder, ratio=self.ratio, normalize_target=self.normalize_target)
        filled = reconstruction_figure(
            method,
            self.view(data),
            patch=network.patch,
            standardized=self.normalize_target,
            normalized=self.normalization,
        )
        optimizer = adamw(self.rate(data), b2=0.95, weight_decay=self.weight_decay, decays=weights_and_tokens)
        return self.experiment(data, method, optimizer=optimizer, network=network, figures=filled)


SOURCES = {
    "": "facebookresearch/mae, PRETRAIN.md",
    "decoder_dim": "models_mae.py",
    "decoder_depth": "models_mae.py",
    "decoder_heads": "models_mae.py",
    "views": "main_pretrain.py",
}

demo = MAE(
    encoder="vit_n4",
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=800,
    warmup=1,
    learning_rate=1.5e-3,
    rate_per=None,
    normalize_target=False,
    decoder_dim=64,
    decoder_depth=1,
    decoder_heads=4,
)

if __name__ == "__main__":
    main(demo)
