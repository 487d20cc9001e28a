"""Settings that the systems of one family share besides those of every system."""

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
from jssl.run.experiment import DataInfo
from jssl.run.numbers import Count, Share
from jssl.run.settings import Training


@dataclass(frozen=True, kw_only=True)
class SelfDistillation(Training):
    """Settings of self-distillation over prototypes.  arXiv:2104.14294"""

    prototypes: Count
    """Outputs of the head."""
    hidden: Count
    """Width of the head's hidden layers."""
    bottleneck: Count
    """Width before the head's last layer."""
    head_norm: bool = False
    """Batch norm in the head."""
    locals: int
    """Small views of each image."""
    momentum: Share
    """Of the teacher at the start; it rises to 1."""
    initial_teacher_temperature: float
    """Of the teacher at the start."""
    teacher_temperature: float
    """Of the teacher after it has risen."""
    temperature_warmup: float
    """Epochs in which it rises."""
    final_weight_decay: float
    """To which the weight decay rises."""
    frozen: float
    """Epochs in which the head's last layer stands still."""

    def head(self) -> Callable:
        """Makes prototypes -> the head."""
        norm = batch_norm if self.head_norm else None
        return partial(dino_head, hidden=self.hidden, bottleneck=self.bottleneck, norm=norm)

    def temperature(self, data: DataInfo) -> Schedule:
        """Makes the teacher's temperature."""
        steps = max(1, self.span(self.temperature_warmup, data))
        return linear(self.initial_teacher_temperature, self.teacher_temperature, steps)

    def teacher_momentum(self, data: DataInfo) -> Schedule:
        """Makes the teacher's momentum, up to 1 in half a cosine."""
        return teacher_momentum(self.momentum, self.length(data))

    def optimizer(self, data: DataInfo) -> optax.GradientTransformation:
        """Makes AdamW with clipped gradients and a rising decay, which leaves the heads' last layer alone at
        first.
        """
        last = self.head()(self.prototypes).last
        decay = cosine(self.weight_decay, self.final_weight_decay, self.length(data))
        return optax.chain(
            clip_by_parameter_norm(3.0),
            adamw(self.rate(data), weight_decay=decay),
            freeze_during(
                self.span(self.frozen, data), lambda path: path[0] in ("cls", "patch") and path[1] == last
            ),
        )


@dataclass(frozen=True, kw_only=True)
class MomentumContrast(Training):
    """Settings of contrast with a queue of a momentum encoder's keys.  arXiv:2003.04297"""

    queue: Count
    """Past keys kept, a multiple of the batch."""
    temperature: float
    """Of the contrast."""
    momentum: Share
    """Of the key encoder."""
    groups: Count
    """Shares of the batch with batch statistics of their own."""
    hidden: Count
    """Width of the projection's hidden layer."""
    features: Count
    """Width of the projection."""

    def contrast(self) -> dict[str, Any]:
        """Returns what the methods of this family take."""
        settings = dict(
            queue=self.queue, temperature=self.temperature, momentum=self.momentum, groups=self.groups
        )
        return settings | {"head": moco_head(self.features, hidden=self.hidden)}

    def optimizer(self, data: DataInfo) -> optax.GradientTransformation:
        """Makes SGD with momentum."""
        return sgd(self.rate(data), weight_decay=self.weight_decay)
