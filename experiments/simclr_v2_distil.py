"""SimCLR v2, arXiv:2006.10029: its third stage."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from jssl.methods import distil
from jssl.methods.labels import class_logits
from jssl.models import cut, linear_head, simclr_head
from jssl.optim import lars
from jssl.run import Count, Data, DataInfo, Experiment, Taught, Weights, main
from jssl.run.settings.experiment import AS_DRAWN


@dataclass(frozen=True)
class SimCLRV2Distil(Taught):
    """SimCLR v2, distillation: a student predicts a fine-tuned network's class probabilities, without labels.
    arXiv:2006.10029

    jssl train simclr_v2 --demo                                             # the stages before, for the demo
    jssl train simclr_v2_fine_tune --demo --start runs/simclr_v2-demo
    jssl train simclr_v2_distil --demo --teacher runs/simclr_v2_fine_tune-demo
    jssl train simclr_v2_distil --teacher runs/tuned --out runs/student
    jssl train simclr_v2_distil --teacher runs/tuned --encoder resnet18

    The paper: ResNet-50, taught by a ResNet-152 three times as wide that was fine-tuned on 1 % of ImageNet's
    labels: 73.9 % top-1 (77.5 % on 10 %). Without --teacher the demo is taught by a network as it is drawn,
    which shows that the stage runs and no more.
    """

    data: Data = "tfds:imagenet2012"
    teacher: Weights | None = None
    """A run of simclr_v2_fine_tune or fine_tune, which stands still; random: a network as it is drawn."""
    encoder: str = "resnet50"
    batch: Count = 4096
    epochs: float = 400
    warmup: float = 20
    learning_rate: float = 0.4
    rate_per: Count | None = 256
    final_rate: float = 0.0
    weight_decay: float = 1e-4
    views: str = "fine_tuning"
    magnitude: float = 0
    """Of RandAugment, 0 for none: crops and flips alone."""
    temperature: float = 1.0
    """Of the student's and the teacher's classes."""

    def classifier(self, data: DataInfo):
        """Makes the teacher, as `frozen_teacher` returns it.

        Raises:
            ValueError: for weights without a classifier, or one of other classes.
        """
        loaded, head = self.taught_by, linear_head(data.classes)
        if loaded is None:
            logits = {"logits": (("cls", head), None)}
            return self.frozen_teacher(data, self.network(), at="taught", heads=logits)
        own = {name: loaded.heads.get(name, (None, {}))[1] for name in ("cls", "logits")}
        found = own["logits"]["params"]["layers_0"]["kernel"].shape[-1] if own["logits"] else 0
        if found != data.classes:
            raise ValueError(
                f"--teacher tells {found} classes, {data.name} has {data.classes}; fine-tune it on it"
            )
        heads: dict[str, Any] = {}
        if own["cls"]:
            width = own["cls"]["params"]["layers_0"]["kernel"].shape[-1]
            heads["cls"] = cut(simclr_head(hidden=width, layers=3), 3), own["cls"]
        heads["logits"] = ("cls", head), own["logits"]
        return self.frozen_teacher(data, loaded.encoder, at="taught", heads=heads)

    def build(self, data: DataInfo) -> Experiment:
        network, head, teacher = self.network(), linear_head(data.classes), self.classifier(data)
        method = distil(network, teacher.network, data.classes, head=head, temperature=self.temperature)
        optimizer = lars(self.rate(data), weight_decay=self.weight_decay, rate_inside_momentum=True)
        views = self.make_views(data, magnitude=self.magnitude)
        logits = partial(class_logits, method, head=head)
        how = dict(optimizer=optimizer, views=views, network=network, logits=logits)
        return self.experiment(data, method, **how, given=teacher.given)


SOURCES = {
    "": "as simclr_v2; that the paper has the same here is from memory",
    "encoder": "the paper's abstract",
    "epochs": "the paper, as ritvik19.medium.com tells it, Papers Explained 201: SimCLRv2",
    "warmup": "5 % of the run, as simclr_v2; that the paper has the same here is from memory",
    "weight_decay": "google-research/simclr, tf2/colabs/distillation_self_training.ipynb",
    "views": "tf2/colabs/distillation_self_training.ipynb, whose images stay in [0, 1]",
    "magnitude": "tf2/colabs/distillation_self_training.ipynb",
    "temperature": "tf2/colabs/distillation_self_training.ipynb",
}

demo = SimCLRV2Distil(
    teacher=AS_DRAWN,
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=300,
    warmup=1,
    learning_rate=1.0,
    rate_per=None,
)

if __name__ == "__main__":
    main(demo)
