"""Spot artifacts, arXiv:1806.05024."""

from dataclasses import dataclass

import optax

from jssl.data.augment.base import Statistics
from jssl.methods import spot_artifacts
from jssl.models import AutoEncoder, artifacts
from jssl.optim import Schedule, adamw, weights
from jssl.run import Count, Data, DataInfo, Experiment, Share, Taught, Weights, main
from jssl.run.settings.experiment import AS_DRAWN
from jssl.weights.preprocessing import Preprocess


@dataclass(frozen=True)
class SpotArtifacts(Taught):
    """Spot artifacts: a network detects images whose features were damaged and repaired.  arXiv:1806.05024

    jssl train autoencoder --demo                                           # what images go through
    jssl train spot_artifacts --demo --teacher runs/autoencoder-demo        # a few minutes on a CPU

    The paper: AlexNet-like, STL-10 at 96 pixels, and ImageNet: VOC classification 69.8 %, from memory. The
    numbers are those of the authors' code for STL-10, which sees the 100,000 images without labels; of
    tfds:stl10 a run sees the 5,000 with labels. The demo's auto-encoder is as it is drawn: it shows that the
    stage runs; name a run of autoencoder to learn something.
    """

    data: Data = "tfds:stl10"
    teacher: Weights | None = None
    """A run of autoencoder, which stands still; random: an auto-encoder as it is drawn."""
    encoder: str = "resnet18"
    """Our own choice."""
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
    """Of the auto-encoder; a run has its own."""
    keep: Share = 0.3
    """Share of the map's points that are not damaged."""
    error: float = 30.0
    """Weight of the error where they are not, for the repair."""
    where: float = 0.1
    """Weight of telling which points were kept."""

    def autoencoder(self) -> AutoEncoder:
        """Makes the frozen network's module.

        Raises:
            ValueError: for weights of another network, or of images that were normalised in another way.
        """
        if (loaded := self.taught_by) is None:
            return AutoEncoder(self.widths)
        if not (isinstance(loaded.encoder, AutoEncoder) and isinstance(loaded.preprocess, Preprocess)):
            raise ValueError(f"--teacher must be a run of autoencoder, got a {type(loaded.encoder).__name__}")
        known, ours = Statistics(loaded.preprocess.mean, loaded.preprocess.std), self.normalization
        if known != ours:
            raise ValueError(
                f"--teacher paints images normalised by {known.mean} and {known.std}, --views {self.views} "
                f"by {ours.mean} and {ours.std}; train it on the same views"
            )
        return loaded.encoder

    def rate(self, data: DataInfo) -> Schedule:
        """Makes the learning rate, which falls in a line over nine tenths of the run."""
        return self.rate_in_a_line(data, share=0.9)

    def build(self, data: DataInfo) -> Experiment:
        network, known = self.network(), self.autoencoder()
        given = self.frozen_teacher(data, known, at="taught").given
        maker, sides = artifacts(known, drawn=self.teacher == AS_DRAWN), 2 ** len(known.widths)
        how = dict(keep=self.keep, error=self.error, where=self.where)
        method = spot_artifacts(network, maker, sides=sides, **how)
        decay = optax.add_decayed_weights(self.weight_decay, mask=weights)
        adam = adamw(self.rate(data), b1=self.b1, eps=self.eps, weight_decay=0.0)
        return self.experiment(data, method, optimizer=optax.chain(decay, adam), network=network, given=given)


SOURCES = {
    "": "sjenni/LearningToSpotArtifacts, train_stl10.py",
    "batch": "train_stl10.py: 128 and two GPUs; train/MultiGPUTrainer.py: 128 on each",
    "learning_rate": "train_stl10.py; it falls in a line over nine tenths of the run",
    "final_rate": "train/MultiGPUTrainer.py",
    "encoder": "our own choice",
    "weight_decay": "models/SpotNet.py",
    "b1": "train/SDNetTrainer.py",
    "eps": "train/MultiGPUTrainer.py",
    "keep": "models/SpotNet.py, the later of two versions",
    "views": "Preprocessor.py",
}

demo = SpotArtifacts(
    teacher=AS_DRAWN,
    encoder="resnet10x0.25_cifar",
    data="scenes:shape",
    size=48,
    batch=64,
    epochs=10,
    steps=300,
    learning_rate=1e-3,
    widths=(16, 32, 64),
)

if __name__ == "__main__":
    main(demo)
