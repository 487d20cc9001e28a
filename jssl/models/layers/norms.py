"""Normalisations as the published models set them."""

from functools import partial

import flax.linen as nn

batch_norm = partial(nn.BatchNorm, momentum=0.9, epsilon=1e-5)
layer_norm = partial(nn.LayerNorm, epsilon=1e-6, use_fast_variance=False)
