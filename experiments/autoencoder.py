"""Spot artifacts, arXiv:1806.05024: its auto-encoder."""

from dataclasses import dataclass

import optax

from jssl.methods import autoencoder
from jssl.models import AutoEncoder
from jssl.optim import adamw, weights
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class Autoencoder(Training):
    """The auto-encoder whose maps `spot_artifacts` damages: images are put together again.  arXiv:1806.05024

    jssl train autoencoder --demo                                           # a few minutes on a CPU
    jssl train autoencoder --data tfds:stl10 --out runs/autoencoder

    The paper: STL-10 at 96 pixels, batch 128, 500 epochs; it reports no result of this stage.
    """

    data: Data = "tfds:stl10"
    encoder: str = "none"
    """The auto-encoder is one by itself: `widths`."""
    batch: Count = 128
    epochs: float = 500
    warmup: float = 0
    learning_rate: float = 3e-4
    rate_per: Count | None = None
    final_rate: float = 0.0
    weight_decay: float = 5e-5
    """In the gradient, as Adam had it."""
    b1: Share = 0.5
    """Of Adam's first moment."""
    views: str = "spot_artifacts"
    size: Count | None = 96
    widths: tuple[Count, ...] = (64, 128, 256, 512)
    """Channels of the maps, each of half the sides of the one before."""
    stem: Count = 32
    """Channels before the first."""
    error: float = 30.0
    """Weight of the error, against the decay."""

    def build(self, data: DataInfo) -> Experiment:
        if self.encoder != "none":
            raise ValueError(f"--encoder {self.encoder[:80]}: it is a network of its own; see --widths")
        network = AutoEncoder(self.widths, self.stem)
        method = autoencoder(network, error=self.error)
        decay = optax.add_decayed_weights(self.weight_decay, mask=weights)
        adam = adamw(self.rate(data), b1=self.b1, weight_decay=0.0)
        return self.experiment(data, method, optimizer=optax.chain(decay, adam), network=network)


SOURCES = {
    "": "sjenni/LearningToSpotArtifacts, train_autoencoder_stl10.py; half a cosine in place of a line",
    "weight_decay": "models/AutoEncoder.py",
    "b1": "train/AETrainer.py",
    "widths": "models/AutoEncoder.py",
    "error": "models/AutoEncoder.py, ae_loss",
    "views": "Preprocessor.py",
}

demo = Autoencoder(
    data="scenes:shape",
    size=48,
    batch=64,
    epochs=10,
    steps=400,
    learning_rate=1e-3,
    widths=(16, 32, 64),
    stem=16,
)

if __name__ == "__main__":
    main(demo)
