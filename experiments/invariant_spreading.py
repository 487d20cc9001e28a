"""Invariant and spreading instances, arXiv:1904.03436."""

from dataclasses import dataclass

import jax.numpy as jnp

from jssl.methods import invariant_spreading
from jssl.models import moco_head
from jssl.optim import Schedule, everything, sgd
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class InvariantSpreading(Training):
    """Invariant and spreading instances: a softmax over the batch's own embeddings.  arXiv:1904.03436

    jssl train invariant_spreading --demo                                   # a few minutes on a CPU
    jssl train invariant_spreading --data tfds:cifar10 --out runs/spreading

    The paper: ResNet-18, batch 128, CIFAR-10, 300 epochs: 83.6 % by 200 nearest neighbours. Biases and norms
    decay too, as in the authors' code. Batch statistics are those of both views of the whole batch, the
    authors' those of 64 images of one view, on each of 4 GPUs.
    """

    data: Data = "tfds:cifar10"
    encoder: str = "resnet18_cifar"
    batch: Count = 128
    epochs: float = 300
    """The code's loop makes one more."""
    warmup: float = 0
    learning_rate: float = 0.03
    rate_per: Count | None = None
    final_rate: float = 0.01
    drops: tuple[float, ...] = (120, 160, 200)
    shares: tuple[float, ...] = (0.1, 0.05, 0.01)
    """What is left of the learning rate after each drop; with drops alone, one factor."""
    weight_decay: float = 5e-4
    views: str = "invariant_spreading"
    temperature: float = 0.1
    """Of the softmax over the batch."""
    dim: Count = 128
    """Width of the projection."""

    def rate(self, data: DataInfo) -> Schedule:
        """Makes the learning rate, which falls to these shares at the drops."""
        if not self.shares:
            return super().rate(data)
        shares = self.peak_rate * jnp.array([1.0, *self.shares])
        drops = jnp.array([self.span(epochs, data) for epochs in self.drops])
        return lambda step: shares[jnp.sum(step >= drops)]

    def build(self, data: DataInfo) -> Experiment:
        network, head = self.network(), moco_head(self.dim, hidden=None)
        method = invariant_spreading(network, head=head, temperature=self.temperature)
        optimizer = sgd(self.rate(data), weight_decay=self.weight_decay, decays=everything)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "mangye16/Unsupervised_Embedding_Learning, demo_seen.py and README; the result from memory",
}

demo = InvariantSpreading(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=0.5,
    learning_rate=0.06,
    final_rate=0.0,
    drops=(),
    shares=(),
    dim=64,
)

if __name__ == "__main__":
    main(demo)
