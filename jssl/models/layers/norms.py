"""Normalisations as the published models set them."""

from functools import partial

import flax.linen as nn

batch_norm = partial(nn.BatchNorm, momentum=0.9, epsilon=1e-5)
layer_norm = partial(nn.LayerNorm, epsilon=1e-6, use_fast_variance=False)


def sample_norm(*, use_running_average: bool | None = None, **settings) -> nn.GroupNorm:
    """Makes a norm of each sample by itself, over its whole map, in place of batch norm.

    Args:
        use_running_average: unused; networks with batch norm say it.
        settings: of `flax.linen.GroupNorm`, such as scale_init or name.
    Returns:
        A module.
    """
    return nn.GroupNorm(num_groups=1, epsilon=1e-5, **settings)
