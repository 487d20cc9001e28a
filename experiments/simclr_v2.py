"""SimCLR v2, arXiv:2006.10029: its first stage."""

from dataclasses import dataclass

import flax.linen as nn

from jssl.methods import simclr_v2
from jssl.models import simclr_head
from jssl.optim import lars
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class SimCLRV2(Training):
    """SimCLR v2: SimCLR with a head of three layers, of which fine-tuning keeps the first.  arXiv:2006.10029

    jssl train simclr_v2 --demo                                             # a few minutes on a CPU
    jssl train simclr_v2 --data tfds:imagenet2012 --out runs/simclr_v2
    jssl train simclr_v2_fine_tune --start runs/simclr_v2 --share 0.01 --out runs/tuned
    jssl train simclr_v2_distil --teacher runs/tuned --encoder resnet50     # all images, no labels

    The paper: ResNet-50, batch 4096, ImageNet, 800 epochs: linear 71.7 % top-1; fine-tuned on 1 % of the
    labels 57.9 %, on 10 % 68.4 %. ResNet-152, three times as wide and with selective kernels, which are not
    here, reaches 79.8 %, 74.9 % and 80.1 %. The paper's memory of past keys is neither here nor in the
    authors' code; one of them had 71.1 % without it.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 4096
    epochs: float = 800
    warmup: float = 40
    learning_rate: float = 0.4
    rate_per: Count | None = 256
    final_rate: float = 0.0
    weight_decay: float = 1e-4
    views: str = "simclr"
    temperature: float = 0.1
    """Of the contrast."""
    hidden: Count = 2048
    """Width of the projection's hidden layers, the encoder's."""
    dim: Count = 128
    """Width of the projection."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(where_it_has=dict(last_scale=nn.initializers.zeros))
        head = simclr_head(self.dim, hidden=self.hidden, layers=3)
        method = simclr_v2(network, head=head, temperature=self.temperature)
        rate = self.rate(data)
        optimizer = lars(rate, weight_decay=self.weight_decay, rate_inside_momentum=True)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "google-research/simclr, README and tf2/run.py",
    "epochs": "an author in google-research/simclr, issue 77",
    "warmup": "issue 77: 5 % of the run; tf2/run.py has 10",
    "learning_rate": "issue 77: at 4096 the same as 0.1 times the batch's root; README, for 100 epochs: 0.3",
    "hidden": "tf2/model.py",
}

demo = SimCLRV2(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=1,
    learning_rate=1.0,
    rate_per=None,
    temperature=0.2,
    hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
