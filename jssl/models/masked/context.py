"""CPC's context networks: a row depends on itself and the rows above, and predicts rows below."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.models.heads import dense
from jssl.models.layers.convolution import Conv


class MaskedContext(nn.Module):
    """Residual blocks of masked convolutions, [B, R, C, D] -> [B, R, C, D]: row r depends on the rows up to
    r.

    Args:
        hidden: channels inside a block.
        blocks: the number of blocks; each extends the receptive field by one row upwards.
    References:
        CPC v2, arXiv:1905.09272, appendix
    """

    hidden: int = 256
    blocks: int = 5

    @nn.compact
    def __call__(self, grid: jax.Array) -> jax.Array:
        for i in range(self.blocks):
            y = nn.relu(nn.Dense(self.hidden, name=f"block{i}_in")(grid))
            y = Conv(self.hidden, (1, 3), name=f"block{i}_across")(y)
            y = jnp.pad(y, ((0, 0), (1, 0), (0, 0), (0, 0)))
            y = nn.relu(Conv(self.hidden, (2, 1), padding="VALID", name=f"block{i}_down")(y))
            grid = grid + nn.Dense(grid.shape[-1], name=f"block{i}_out")(y)
        return nn.relu(grid)


class RowPredictions(nn.Module):
    """Predicts rows further on from the context of each place, [B, N, D] -> [B, O, R, C, dim].

    The grid is rotated first, so that the direction of prediction becomes down; the result is not rotated
    back.

    Args:
        offsets: how many rows further on each prediction is for.
        turns: the number of counter-clockwise quarter turns after which the direction is down: 0 for down, 2
            for up.
        dim: width of a prediction.
        hidden, blocks: as `MaskedContext`.
    References:
        CPC, arXiv:1807.03748, and v2, arXiv:1905.09272
    """

    offsets: Sequence[int]
    turns: int = 0
    dim: int = 64
    hidden: int = 256
    blocks: int = 5

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Computes the predictions.

        Args:
            tokens: [B, N, D], of a square grid, row by row.
        Returns:
            [B, O, R, C, dim]
        Raises:
            ValueError: for tokens that do not form a square grid.
        """
        side = math.isqrt(tokens.shape[1])
        if side**2 != tokens.shape[1]:
            raise ValueError(f"tokens of shape {tokens.shape} are no square grid; give square images")
        grid = jnp.rot90(tokens.reshape(-1, side, side, tokens.shape[-1]), self.turns, axes=(1, 2))
        context = MaskedContext(self.hidden, self.blocks, name="context")(grid)
        each = [dense(self.dim, name=f"offset{offset}")(context) for offset in self.offsets]
        return jnp.stack(each, axis=1)
