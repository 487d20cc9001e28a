"""Settings that DINOv2, its distillation and DINOv3 share besides those of self-distillation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import optax

from jssl.data.views import Views, local_side
from jssl.models import (
    LearnedPositions,
    Logits,
    MovingRotary,
    SwiGlu,
    antialiased_bicubic,
    rotary_angles,
)
from jssl.models import encoder as encoder_named
from jssl.optim import (
    Schedule,
    adamw,
    clip_by_part_norm,
    cosine,
    freeze_during,
    scale_some,
    weights_tokens_and_lengths,
)
from jssl.run.settings.experiment import DataInfo
from jssl.run.settings.families import SelfDistillation
from jssl.run.settings.numbers import Count, Share


@dataclass(frozen=True, kw_only=True)
class BalancedDistillation(SelfDistillation):
    """Settings of DINOv2 and what follows it.  arXiv:2304.07193"""

    patch_prototypes: Count
    """Outputs of the head on patches."""
    patch_hidden: Count
    """Width of its hidden layers."""
    patch_bottleneck: Count
    """Width before its last layer."""
    patch_weight: float
    """Of the patches' term."""
    koleo_weight: float
    """Of KoLeo, which keeps the images of a batch apart."""
    koleo_group: Count | None
    """Images among which it seeks the nearest, those of one of the authors' GPUs; None: the whole batch."""
    mask_ratio: tuple[Share, Share]
    """Least and most share of its patches that a view hides."""
    local_size: Count | None
    """Side of the small views, in pixels; None: three sevenths of the large ones', to whole patches."""
    stem_rate: Share
    """Factor of the patch projection's learning rate."""
    second_moment: Share
    """Adam's b2."""
    final_momentum: Share
    """Of the teacher at the end, to which it rises in half a cosine."""
    registers: int
    """Learned tokens beside the class token."""
    layer_scale: float
    """First value of the factor on each branch of a block."""
    swiglu: bool
    """Gated layers of DINOv2's width in place of the encoder's own."""

    @property
    def batch_factor(self) -> float:
        """The factor of the batch on the learning rate, by the square-root rule."""
        return super().batch_factor ** 0.5

    def encoder_settings(self) -> dict[str, Any]:
        """Fields of encoders that have them; all blocks are dropped at one rate, and tokens begin near 0."""
        own: dict[str, Any] = dict(layer_scale=self.layer_scale, registers=self.registers)
        own |= dict(token_init=nn.initializers.normal(1e-6))
        if self.swiglu:  # about the parameters of a plain layer: two thirds of its width, to a multiple of 8
            dim = encoder_named(self.encoder).dim
            own |= dict(mlp=SwiGlu, mlp_ratio=(8 * dim // 3 + 7) // 8 * 8 / dim)
        own |= dict(positions=LearnedPositions(antialiased_bicubic)) if self.registers else {}
        return super().encoder_settings() | own | {"drop_path": (self.drop_path, self.drop_path)}

    def teacher_momentum(self, data: DataInfo) -> Schedule:
        """Makes the teacher's momentum."""
        return cosine(self.momentum, self.final_momentum, self.length(data))

    def multi_crop(self, data: DataInfo, network) -> Views:
        """Makes the views, small ones of whole patches."""
        small = self.local_size or local_side(self.view_side(data), multiple=network.patch)
        return self.make_views(data, locals=self.locals, local_size=small)

    def patch_head(self) -> Callable:
        """Makes the function prototypes -> head on patches."""
        return partial(self.head(), hidden=self.patch_hidden, bottleneck=self.patch_bottleneck)

    def distills(self, data: DataInfo) -> dict[str, Any]:
        """Returns the arguments that the methods of this family take."""
        if self.koleo_group and self.batch % self.koleo_group:
            raise ValueError(f"--koleo-group {self.koleo_group} must divide the batch of {self.batch}")
        heads = dict(head=self.head(), patch_head=self.patch_head())
        numbers = dict(prototypes=self.prototypes, patch_prototypes=self.patch_prototypes)
        terms: dict[str, Any] = dict(patch_weight=self.patch_weight, koleo_weight=self.koleo_weight)
        terms |= dict(koleo_group=self.koleo_group, teacher_temperature=self.temperature(data))
        return dict(momentum=self.teacher_momentum(data)) | heads | numbers | terms

    def optimizer(self, data: DataInfo) -> optax.GradientTransformation:
        """Makes AdamW with a rising decay, each network's gradient clipped, and a slow patch projection."""
        last = self.head()(self.prototypes).last
        decay = cosine(self.weight_decay, self.final_weight_decay, self.length(data))
        still, decays = self.span(self.frozen, data), weights_tokens_and_lengths
        return optax.chain(
            clip_by_part_norm(self.clip),
            adamw(self.rate(data), b2=self.second_moment, weight_decay=decay, decays=decays),
            scale_some(self.stem_rate, lambda path: path[:2] == ("encoder", "stem")),
            freeze_during(still, lambda path: path[0] in ("image", "patch") and path[1] == last),
        )


@dataclass(frozen=True, kw_only=True)
class AnchoredDistillation(BalancedDistillation):
    """Settings of rotary positions that vary in training, and of Gram anchoring.  arXiv:2508.10104"""

    shift: float
    """The most that is added to an axis' coordinates, which lie in [-1, 1]."""
    jitter: float
    """The largest factor of an axis."""
    rescale: float
    """The largest factor of both axes together."""
    gram_weight: float
    """Of Gram anchoring; 0: no earlier teacher is kept."""
    gram_every: float
    """Epochs after which the earlier teacher becomes the present one."""
    gram_times: int
    """How often it does at most."""
    gram_size: Count | None
    """Side of the undistorted crops that the earlier teacher sees; None: it sees the global views."""

    def encoder_settings(self) -> dict[str, Any]:
        """Fields of encoders that have them."""
        own = dict(positions=None, rotary=rotary_angles, token_init=nn.initializers.normal(0.02))
        return super().encoder_settings() | own

    def moving(self, network):
        """Lets a network's rotary positions vary in training, if it has them."""
        if getattr(network, "rotary", None) is None:
            return network
        return network.clone(rotary=MovingRotary(network.rotary, self.shift, self.jitter, self.rescale))

    def multi_crop(self, data: DataInfo, network) -> Views:
        """Makes the views, with crops for the earlier teacher."""
        if not (self.gram_weight and self.gram_size):
            return super().multi_crop(data, network)
        small = self.local_size or local_side(self.view_side(data), multiple=network.patch)
        return self.make_views(data, locals=self.locals, local_size=small, anchor_size=self.gram_size)

    def head(self) -> Callable:
        """Makes the function prototypes -> head, whose last layer is a plain one."""
        return partial(super().head(), last=Logits)

    def anchors(self, data: DataInfo) -> dict[str, Any]:
        """Returns the arguments that Gram anchoring takes."""
        every = max(1, self.span(self.gram_every, data))

        def refreshed(step):
            taken = step + 1
            return (taken % every == 0) & (taken // every <= self.gram_times)

        return dict(gram_weight=self.gram_weight, refreshed=refreshed)
