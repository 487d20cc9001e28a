"""SupCon, arXiv:2004.11362."""

from dataclasses import dataclass

import jax.numpy as jnp

from jssl.methods import supcon
from jssl.models import moco_head
from jssl.optim import Schedule, by_epoch, cosine, everything, linear, sgd
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class SupCon(Training):
    """SupCon: views are contrasted, with all views of the same class as positives.  arXiv:2004.11362

    jssl train supcon --demo                                                # a few minutes on a CPU
    jssl train supcon --data tfds:cifar10
    jssl train supcon --data folder:/images --encoder resnet50 --size 224 --views moco_v2

    The paper: ResNet-50 with a stem for small images, batch 1024, CIFAR-10, 1000 epochs: linear 96.0 % top-1
    (SimCLR in the same code 93.6 %). Labels tell the pairs: what it reaches bounds what learning without them
    can. The rate rises to where the cosine of all epochs is when the warm-up ends, and then moves once in an
    epoch; biases and norms decay too, and views are not blurred, as in the authors' code.
    """

    data: Data = "tfds:cifar10"
    encoder: str = "resnet50_cifar"
    batch: Count = 1024
    epochs: float = 1000
    warmup: float = 10
    learning_rate: float = 0.5
    rate_per: Count | None = None
    start_rate: float = 0.02
    """The code's 0.01."""
    final_rate: float = 0.001
    weight_decay: float = 1e-4
    views: str = "supcon"
    temperature: float = 0.1
    """Of the contrast."""
    base_temperature: float = 0.07
    """The loss is multiplied by the temperature over it."""
    hidden: Count = 2048
    """Width of the projection's hidden layer, the encoder's."""
    dim: Count = 128
    """Width of the projection."""

    def rate(self, data: DataInfo) -> Schedule:
        """Makes the learning rate: a cosine of all epochs, the first of them number 1, which the warm-up
        meets.
        """
        peak, warmup, epoch = self.peak_rate, self.rise(data), max(1, self.span(1, data))
        fall = cosine(peak, self.final_rate * peak, self.length(data))
        rise = linear(self.start_rate * peak, float(fall(warmup)), max(1, warmup))
        both = lambda step: jnp.where(step < warmup, rise(step), fall(step))  # noqa: E731
        return by_epoch(both, epoch, after=warmup, first=1)

    def build(self, data: DataInfo) -> Experiment:
        if data.classes < 2:
            raise ValueError(
                f"--data {data.name} has {data.classes} classes; SupCon learns from labels, of two at least"
            )
        network, head = self.network(), moco_head(self.dim, hidden=self.hidden)
        temperatures = dict(temperature=self.temperature, base_temperature=self.base_temperature)
        method = supcon(network, head=head, **temperatures)
        optimizer = sgd(self.rate(data), weight_decay=self.weight_decay, decays=everything)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "HobbitLong/SupContrast, README and main_supcon.py",
    "learning_rate": "README and util.py; it moves once in an epoch, the first is number 1",
    "views": "main_supcon.py",
    "start_rate": "main_supcon.py, warmup_from",
    "final_rate": "util.py, lr_decay_rate ** 3",
    "base_temperature": "losses.py",
    "hidden": "networks/resnet_big.py",
    "dim": "networks/resnet_big.py",
}

demo = SupCon(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=1,
    learning_rate=0.1,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
