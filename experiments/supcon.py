"""SupCon, arXiv:2004.11362."""

from dataclasses import dataclass

from jssl.methods import supcon
from jssl.models import moco_head
from jssl.optim import everything, sgd
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class SupCon(Training):
    """SupCon: views find those of their class among all views of the batch, told by labels.
    arXiv:2004.11362

    jssl train supcon --demo                                                # a few minutes on a CPU
    jssl train supcon --data tfds:cifar10
    jssl train supcon --data folder:/images --encoder resnet50 --size 224 --views moco_v2

    The paper: ResNet-50 with a stem for small images, batch 1024, CIFAR-10, 1000 epochs: linear 96.0 % top-1
    (SimCLR in the same code 93.6 %). Labels tell the pairs: what it reaches bounds what learning without them
    can. The rate warms up from 0.01 to its peak, and biases and norms decay too, as in the authors' code.
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
    views: str = "moco_v2"
    temperature: float = 0.1
    """Of the contrast."""
    base_temperature: float = 0.07
    """The loss is multiplied by the temperature over it."""
    hidden: Count = 2048
    """Width of the projection's hidden layer, the encoder's."""
    dim: Count = 128
    """Width of the projection."""

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
