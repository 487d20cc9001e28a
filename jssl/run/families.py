"""Settings that the methods of one family share besides those of every experiment."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import optax

from jssl.models import batch_norm, dino_head, moco_head
from jssl.optim import (
    Schedule,
    adamw,
    clip_by_parameter_norm,
    cosine,
    freeze_during,
    linear,
    sgd,
    teacher_momentum,
)
from jssl.run.settings import Training


@dataclass(frozen=True)
class SelfDistillation(Training):
    """Settings of self-distillation over prototypes.  arXiv:2104.14294

    prototypes: outputs of the head.
    hidden: width of the head's hidden layers.
    bottleneck: width before the head's last layer.
    head_norm: batch norm in the head.
    locals: small views of each image.
    momentum: of the teacher at the start; it rises to 1.
    teacher_temperature: of the teacher, after rising from 0.04.
    temperature_warmup: share of the run in which it rises.
    final_weight_decay: to which the weight decay rises.
    frozen: share of the run in which the head's last layer stands still.
    """

    prototypes: int = 65536
    hidden: int = 2048
    bottleneck: int = 256
    head_norm: bool = False
    locals: int = 8
    momentum: float = 0.996
    teacher_temperature: float = 0.07
    temperature_warmup: float = 0.3
    final_weight_decay: float = 0.4
    frozen: float = 0.01

    def head(self) -> Callable:
        """prototypes -> the head."""
        norm = batch_norm if self.head_norm else None
        return partial(dino_head, hidden=self.hidden, bottleneck=self.bottleneck, norm=norm)

    def temperature(self) -> Schedule:
        """The teacher's."""
        return linear(0.04, self.teacher_temperature, max(1, self.share(self.temperature_warmup)))

    def teacher_momentum(self) -> Schedule:
        """The teacher's, up to 1 in half a cosine."""
        return teacher_momentum(self.momentum, self.steps)

    def optimizer(self) -> optax.GradientTransformation:
        """AdamW with clipped gradients and a rising decay, which leaves the heads' last layer alone at first."""
        last = self.head()(self.prototypes).last
        return optax.chain(
            clip_by_parameter_norm(3.0),
            adamw(self.rate(), weight_decay=cosine(self.weight_decay, self.final_weight_decay, self.steps)),
            freeze_during(
                self.share(self.frozen), lambda path: path[0] in ("cls", "patch") and path[1] == last
            ),
        )


@dataclass(frozen=True)
class MomentumContrast(Training):
    """Settings of contrast with a queue of a momentum encoder's keys.  arXiv:2003.04297

    queue: past keys kept, a multiple of the batch.
    temperature: of the contrast.
    momentum: of the key encoder.
    groups: shares of the batch with batch statistics of their own.
    hidden: width of the projection's hidden layer.
    features: width of the projection.
    """

    queue: int = 65536
    temperature: float = 0.2
    momentum: float = 0.999
    groups: int = 8
    hidden: int = 2048
    features: int = 128

    def contrast(self) -> dict[str, Any]:
        """What the recipes of this family take."""
        settings = dict(
            queue=self.queue, temperature=self.temperature, momentum=self.momentum, groups=self.groups
        )
        return settings | {"head": moco_head(self.features, hidden=self.hidden)}

    def optimizer(self) -> optax.GradientTransformation:
        """SGD with momentum."""
        return sgd(self.rate(), weight_decay=self.weight_decay)
