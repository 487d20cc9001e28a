"""SdAE, arXiv:2208.00449."""

from dataclasses import dataclass
from typing import Any

from jssl.methods import sdae
from jssl.models import MaskedDecoder, sincos_positions, xavier
from jssl.optim import adamw, cosine, every, weights_and_tokens
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class SdAE(Training):
    """SdAE: a masked autoencoder predicts a teacher's features of the hidden patches.  arXiv:2208.00449

    jssl train sdae --demo                                                  # a few minutes on a CPU
    jssl train sdae --data tfds:imagenet2012 --out gs://bucket/sdae         # on a pod

    The paper: ViT-B/16, batch 768, ImageNet, 300 epochs: fine-tuned 84.1 %. Two things differ from the
    authors' code: the cosine is that of each token's features, as the paper says, where the code takes it
    over the tokens of a fold; and the teacher begins as a copy of the student. The log's `trivial` is the
    loss of the mean of what the teacher says.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 768
    epochs: float = 300
    warmup: float = 60
    learning_rate: float = 2.666e-4
    rate_per: Count | None = 256
    final_rate: Share = 0.0
    weight_decay: float = 0.04
    views: str = "mae"
    drop_path: Share = 0.25
    """Stochastic depth of the student's last block."""
    ratio: Share = 0.75
    """Share of patches hidden."""
    folds: Count = 3
    """Parts of the hidden patches that the teacher sees by themselves."""
    momentum: Share = 0.96
    """Of the teacher in the first epoch; it moves at the end of each."""
    final_momentum: Share = 0.99
    """In the last epoch."""
    decoder_dim: Count = 512
    """Width of the decoder."""
    decoder_depth: Count = 8
    """Its blocks."""
    decoder_heads: Count = 16
    """Its heads."""

    def build(self, data: DataInfo) -> Experiment:
        own: dict[str, Any] = dict(positions=sincos_positions, kernel_init=xavier, drop_path=self.drop_path)
        network = self.network(hides="visible", **own)
        sizes = self.decoder_dim, self.decoder_depth, self.decoder_heads
        decoder = MaskedDecoder(network.dim, *sizes, attend=self.attend)
        epochs = max(1, round(self.epochs))
        moves = cosine(self.momentum, self.final_momentum, epochs)
        momentum = every(max(1, self.length(data) // epochs), moves)
        method = sdae(network, decoder=decoder, ratio=self.ratio, folds=self.folds, momentum=momentum)
        optimizer = adamw(self.rate(data), b2=0.95, weight_decay=self.weight_decay, decays=weights_and_tokens)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "AbrahamYabo/SdAE, README",
    "batch": "README: 8 GPUs of 96",
    "final_rate": "main_pretrain.py",
    "weight_decay": "main_pretrain.py",
    "views": "main_pretrain.py",
    "folds": "README: ncrop_loss 3 of shrink_num 147",
    "decoder_dim": "models_mae.py",
    "decoder_depth": "models_mae.py",
    "decoder_heads": "models_mae.py",
}

demo = SdAE(
    encoder="vit_n4",
    data="scenes:color",
    size=24,
    batch=64,
    epochs=20,
    steps=800,
    warmup=2,
    learning_rate=1.5e-3,
    rate_per=None,
    drop_path=0.0,
    momentum=0.9,
    decoder_dim=64,
    decoder_depth=1,
    decoder_heads=4,
)

if __name__ == "__main__":
    main(demo)
