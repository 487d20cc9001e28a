"""SimCLR v2, arXiv:2006.10029: its second stage."""

from dataclasses import dataclass
from functools import partial

from jssl.methods import supervised
from jssl.methods.labels import class_logits
from jssl.models import cut, linear_head, simclr_head
from jssl.optim import all_but, lars, weights_and_tokens
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class SimCLRV2FineTune(Training):
    """SimCLR v2, fine-tuning: the encoder and the first layer of its head are trained on a few labels.
    arXiv:2006.10029

    jssl train simclr_v2_fine_tune --demo                                   # a few minutes on a CPU
    jssl train simclr_v2_fine_tune --start runs/simclr_v2 --share 0.01 --out runs/tuned
    jssl train simclr_v2_fine_tune --start runs/simclr_v2 --share 0.1 --epochs 30

    The paper: ResNet-50, 1 % of ImageNet's labels, 60 epochs: 57.9 % top-1; 10 %: 68.4 %. The new classifier
    begins at 0, so that the first loss is the logarithm of the number of classes.
    """

    data: Data = "tfds:imagenet2012"
    share: Share = 0.01
    encoder: str = "resnet50"
    batch: Count = 1024
    epochs: float = 60
    warmup: float = 0
    learning_rate: float = 0.16
    """The code's 0.005 times the batch's root."""
    rate_per: Count | None = None
    continued_rate: Share = 1.0
    final_rate: float = 0.0
    layer_decay: Share | None = 1.0
    weight_decay: float = 0.0
    views: str = "fine_tuning"
    magnitude: float = 0
    """Of RandAugment, 0 for none: crops and flips alone."""
    hidden: Count = 2048
    """Width of the head's first layer, as --start has it."""

    def build(self, data: DataInfo) -> Experiment:
        if data.classes < 2:
            raise ValueError(f"--data {data.name} has {data.classes} classes; give labels of two at least")
        network = self.network()
        head = linear_head(data.classes, deviation=0.0)
        first = cut(simclr_head(hidden=self.hidden, layers=3), 3)  # linear, batch norm, ReLU
        method = supervised(network, data.classes, head=head, between=first)
        adapts = all_but("logits", weights_and_tokens)  # trust would hold what begins at 0
        optimizer = lars(
            self.rate(data), weight_decay=self.weight_decay, adapts=adapts, rate_inside_momentum=True
        )
        return self.experiment(
            data,
            method,
            optimizer=optimizer,
            views=self.make_views(data, magnitude=self.magnitude),
            network=network,
            logits=partial(class_logits, method, head=head, between=first),
        )


SOURCES = {
    "": "google-research/simclr, README, fine-tuning on 1 % of the labels",
    "continued_rate": "ours: the rate is fine-tuning's own",
    "magnitude": "data_util.py",
    "weight_decay": "tf2/model.py: decay and trust leave head_supervised out",
    "hidden": "tf2/model.py, ft_proj_selector 1",
}

demo = SimCLRV2FineTune(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    share=0.3,
    size=24,
    batch=64,
    epochs=30,
    steps=200,
    learning_rate=0.5,
    hidden=256,
)

if __name__ == "__main__":
    main(demo)
