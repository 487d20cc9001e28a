"""Spot artifacts, arXiv:1806.05024: its auto-encoder."""

from dataclasses import dataclass

import optax

from jssl.methods import autoencoder
from jssl.models import AutoEncoder
from jssl.optim import Schedule, adamw, weights
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class Autoencoder(Training):
    """The auto-encoder whose maps `spot_artifacts` damages: images are reconstructed.  arXiv:1806.05024

    jssl train autoencoder --demo                                           # a few minutes on a CPU
    jssl train autoencoder --data tfds:stl10 --out runs/autoencoder

    The paper: STL-10 at 96 pixels; it reports no result of this stage. The numbers are those of the authors'
    code, which sees the 100,000 images without labels; of tfds:stl10 a run sees the 5,000 with labels.
    """

    data: Data = "tfds:stl10"
    encoder: str = "none"
    """The auto-encoder is one by itself: `widths`."""
    batch: Count = 256
    """128 on each of two GPUs."""
    epochs: float = 500
    warmup: float = 0
    learning_rate: float = 3e-4
    rate_per: Count | None = None
    final_rate: float = 0.01
    weight_decay: float = 5e-5
    """In the gradient, as Adam had it."""
    b1: Share = 0.5
    """Of Adam's first moment."""
    eps: float = 1e-5
    """Added to the root of Adam's second moment."""
    views: str = "spot_artifacts"
    size: Count | None = 96
    widths: tuple[Count, ...] = (64, 128, 256, 512)
    """Channels of the maps, each of half the sides of the one before."""
    stem: Count = 32
    """Channels before the first."""
    error: float = 30.0
    """Weight of the error, against the decay."""

    def rate(self, data: DataInfo) -> Schedule:
        """Makes the learning rate, which falls in a line over nine tenths of the run."""
        return self.rate_in_a_line(data, share=0.9)

    def build(self, data: DataInfo) -> Experiment:
        if self.encoder != "none":
            raise ValueError(f"--encoder {self.encoder[:80]}: it is a network of its own; see --widths")
        network = AutoEncoder(self.widths, self.stem)
        method = autoencoder(network, error=self.error)
        decay = optax.add_decayed_weights(self.weight_decay, mask=weights)
        adam = adamw(self.rate(data), b1=self.b1, eps=self.eps, weight_decay=0.0)
        return self.experiment(data, method, optimizer=optax.chain(decay, adam), network=network)


SOURCES = {
    "": "sjenni/LearningToSpotArtifacts, train_autoencoder_stl10.py",
    "batch": "train_autoencoder_stl10.py: 128 and two GPUs; train/MultiGPUTrainer.py: 128 on each",
    "learning_rate": "train_autoencoder_stl10.py; it falls in a line over nine tenths of the run",
    "final_rate": "train/MultiGPUTrainer.py",
    "weight_decay": "models/AutoEncoder.py",
    "b1": "train/AETrainer.py",
    "eps": "train/MultiGPUTrainer.py",
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
