"""Settings that the systems of a family share, besides those of every system."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import optax

from jssl.data.views import Views
from jssl.methods.base import Method
from jssl.models import (
    LearnedPositions,
    Mlp,
    TextTransformer,
    batch_norm,
    clip_text_init,
    dino_bicubic,
    dino_head,
    largest_id,
    last_place,
    moco_head,
    normed_class_tokens,
    quick_gelu,
    start_place,
    text_encoder,
)
from jssl.models.encoders.text import TEXTS
from jssl.models.network import network, of_variables
from jssl.optim import (
    Schedule,
    adamw,
    clip_by_parameter_norm,
    cosine,
    everything,
    freeze_during,
    linear,
    sgd,
    teacher_momentum,
    weights_tokens_and_lengths,
)
from jssl.run.settings.base import Training
from jssl.run.settings.experiment import DataInfo, Experiment
from jssl.run.settings.numbers import Count, Share


@dataclass(frozen=True, kw_only=True)
class SelfDistillation(Training):
    """Settings of self-distillation over prototypes.  arXiv:2104.14294"""

    prototypes: Count
    """Outputs of the head."""
    hidden: Count
    """Width of the head's hidden layers."""
    bottleneck: Count
    """Width before the head's last layer."""
    learned_norm: bool
    """Let the prototypes learn their length (`norm_last_layer false`), as the authors do for ViT-S alone."""
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
    clip: float
    """The largest norm of each parameter's gradient."""
    drop_path: Share
    """Stochastic depth of the last block, for encoders that have it."""

    def encoder_settings(self) -> dict[str, Any]:
        """Fields of encoders that have them: stochastic depth, a mask token that begins at 0, and how DINO
        fits positions to small views.
        """
        fitted = {} if self.encoder.startswith("swin") else {"positions": LearnedPositions(dino_bicubic)}
        return {"drop_path": self.drop_path, "mask_init": nn.initializers.zeros, **fitted}

    def probed(self, method: Method, module) -> Callable | None:
        """Makes what probes read: a ViT's `cls`, and for the authors' linear probe the class tokens of the
        last four blocks.
        """
        if not getattr(module, "class_token", False):
            return None
        net = network(module)

        def features(params, teacher, memory, images):
            variables = method.encoder(params, teacher, memory)
            found, _ = net.apply(*of_variables(variables), images, collect=("blocks",))
            return found.cls, normed_class_tokens(module, variables, found)

        return features

    def distillation(self, data: DataInfo, method: Method, network, *, figures=()) -> Experiment:
        """Puts together what `build` returns: multi-crop, this optimizer, the authors' linear probe."""
        views, probed = self.multi_crop(data, network), self.probed(method, network)
        settings = dict(optimizer=self.optimizer(data), views=views, probed=probed)
        return self.experiment(data, method, network=network, figures=figures, **settings)

    def multi_crop(self, data: DataInfo, network) -> Views:
        """Makes the views."""
        return self.make_views(data, locals=self.locals)

    def head(self) -> Callable:
        """Makes the function prototypes -> head."""
        norm = batch_norm if self.head_norm else None
        scale = nn.initializers.ones if self.learned_norm else None
        return partial(dino_head, hidden=self.hidden, bottleneck=self.bottleneck, norm=norm, scale_init=scale)

    def temperature(self, data: DataInfo) -> Schedule:
        """Makes the teacher's temperature."""
        steps = max(1, self.span(self.temperature_warmup, data))
        return linear(self.initial_teacher_temperature, self.teacher_temperature, steps)

    def teacher_momentum(self, data: DataInfo) -> Schedule:
        """Makes the teacher's momentum, up to 1 in half a cosine."""
        return teacher_momentum(self.momentum, self.length(data))

    def optimizer(self, data: DataInfo) -> optax.GradientTransformation:
        """Makes AdamW with clipped gradients and a rising decay; at first it does not move the heads' last
        layer.
        """
        last = self.head()(self.prototypes).last
        decay = cosine(self.weight_decay, self.final_weight_decay, self.length(data))
        return optax.chain(
            clip_by_parameter_norm(self.clip),
            adamw(self.rate(data), weight_decay=decay, decays=weights_tokens_and_lengths),
            freeze_during(
                self.span(self.frozen, data), lambda path: path[0] in ("cls", "patch") and path[1] == last
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Texts(Training):
    """Settings of systems that learn from images and captions.  arXiv:2103.00020"""

    text: str
    """The size of the text transformer, text_n to text_h."""
    vocabulary: Count
    """Number of different token ids."""
    caption_length: Count
    """The most tokens of a caption."""
    end: Literal["largest", "last", "first"]
    """The token that stands for the caption: the largest id, CLIP's end token, or the last or first place."""

    def text_network(self, data: DataInfo, **overrides: Any) -> TextTransformer:
        """Makes CLIP's text transformer, with its activation and first weights.

        Args:
            data: Sizes and counts.
            overrides: Fields of the module that are not CLIP's, such as causal=False.
        Raises:
            ValueError: for data without captions, or with longer ones.
        """
        (given,) = data.extra("caption")
        if given > self.caption_length:
            raise ValueError(
                f"--caption-length {self.caption_length} is too short for {data.name}'s captions "
                f"of {given} tokens"
            )
        depth = TEXTS[self.text]["depth"] if self.text in TEXTS else 0
        clips = dict(mlp=partial(Mlp, activation=quick_gelu), kernel_init=clip_text_init(depth))
        return text_encoder(
            self.text,
            vocabulary=self.vocabulary,
            length=self.caption_length,
            attend=self.attend,
            end={"largest": largest_id, "last": last_place, "first": start_place}[self.end],
            **clips | overrides,
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
    hidden: Count | None
    """Width of the projection's hidden layer; none: one linear layer."""
    dim: Count
    """Width of the projection."""

    def contrast(self) -> dict[str, Any]:
        """Returns the arguments that the methods of this family take."""
        settings = dict(
            queue=self.queue, temperature=self.temperature, momentum=self.momentum, groups=self.groups
        )
        return settings | {"head": moco_head(self.dim, hidden=self.hidden)}

    def optimizer(self, data: DataInfo) -> optax.GradientTransformation:
        """Makes SGD with momentum, which decays biases and norms too, as the authors' code does."""
        return sgd(self.rate(data), weight_decay=self.weight_decay, decays=everything)
