"""Learning to count, arXiv:1708.06734."""

from dataclasses import dataclass

from jssl.methods import counting
from jssl.models import count_head
from jssl.optim import sgd
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class Counting(Training):
    """Learning to count: an image's counts are the sum of those of its quarters.  arXiv:1708.06734

    jssl train counting --demo                                              # a few minutes on a CPU
    jssl train counting --data tfds:imagenet2012 --out gs://bucket/counting # on a pod

    The paper: AlexNet on 114 pixels, ImageNet: linear 34.3 % on its third convolution (table 2, as
    ahmdtaha/tf_learning_to_count quotes it). Its authors published no code, and the encoder is our own
    choice: there is no AlexNet here.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    """Our own choice."""
    batch: Count = 128
    """Our own choice."""
    epochs: float = 20
    """200,000 steps."""
    warmup: float = 0
    learning_rate: float = 1e-4
    rate_per: Count | None = None
    final_rate: float = 0.9**19
    drops: tuple[float, ...] = tuple(range(1, 20))
    """Every 10,000 steps."""
    weight_decay: float = 5e-4
    views: str = "puzzle"
    size: Count | None = 228
    """Of which the quarters have 114 pixels."""
    area: Share = (228 / 256) ** 2
    """Of the square that is cut into quarters, as a share of the image's."""
    grey: Share = 0.67
    """Share of the images without color."""
    counts: Count = 1000
    """How many things are counted."""
    hidden: Count = 4096
    """Width of the layers before the counts."""
    layers: Count = 3
    """With the counts'."""
    margin: float = 10.0
    """Squared distance beyond which another image does not matter."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        head = count_head(self.counts, hidden=self.hidden, layers=self.layers)
        method = counting(network, head=head, margin=self.margin)
        optimizer = sgd(self.rate(data), weight_decay=self.weight_decay)
        views = self.make_views(data, area=self.area, grey=self.grey)
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


SOURCES = {
    "": "the paper, as KimRass/Mehdi-Noroozi-et-al.-2017 quotes it, README.md",
    "epochs": "the paper, from memory",
    "weight_decay": "the paper, from memory",
    "size": "quarters of 114 pixels, as KimRass quotes the paper, whose crops of 224 would have 112",
    "area": "as the size",
    "encoder": "our own choice",
    "batch": "our own choice",
}

# Scenes with dotted grounds have dots to count; the others have two things each.
demo = Counting(
    encoder="resnet10x0.25_cifar",
    data="scenes:texture",
    size=48,
    batch=64,
    epochs=10,
    steps=400,
    warmup=0.5,
    learning_rate=3e-3,
    final_rate=0.0,
    drops=(),
    weight_decay=1e-4,
    grey=0.0,
    counts=64,
    hidden=256,
    layers=2,
)

if __name__ == "__main__":
    main(demo)
