"""Optimizers for self-supervised learning, as optax transforms, and schedules: functions of the step."""

from optax import clip_by_global_norm

from jssl.optim.layers import (
    decay_encoder_layers,
    hold_lower_blocks,
    layer_decay,
    scale_some,
    scale_updates,
)
from jssl.optim.lora import low_rank
from jssl.optim.optimizers import adamw, larc, lars, sgd
from jssl.optim.parameters import (
    all_but,
    all_but_class_token,
    all_but_positions,
    and_scales_of,
    biases_and_norms,
    everything,
    kernels,
    weights,
    weights_and_mask_token,
    weights_and_tokens,
    weights_tokens_and_lengths,
)
from jssl.optim.restraints import clip_by_parameter_norm, clip_by_part_norm, freeze_during
from jssl.optim.schedules import (
    Schedule,
    by_epoch,
    constant,
    cosine,
    every,
    linear,
    teacher_momentum,
    warmup_cosine,
    warmup_drops,
)

__all__ = [
    "Schedule",
    "adamw",
    "all_but",
    "all_but_class_token",
    "all_but_positions",
    "and_scales_of",
    "biases_and_norms",
    "by_epoch",
    "clip_by_global_norm",
    "clip_by_parameter_norm",
    "clip_by_part_norm",
    "constant",
    "cosine",
    "decay_encoder_layers",
    "every",
    "everything",
    "freeze_during",
    "hold_lower_blocks",
    "kernels",
    "larc",
    "lars",
    "layer_decay",
    "linear",
    "low_rank",
    "scale_some",
    "scale_updates",
    "sgd",
    "teacher_momentum",
    "warmup_cosine",
    "warmup_drops",
    "weights",
    "weights_and_mask_token",
    "weights_and_tokens",
    "weights_tokens_and_lengths",
]
