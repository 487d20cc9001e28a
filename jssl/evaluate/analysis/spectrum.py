"""The spatial frequencies of a network's tokens, block by block."""

import jax.numpy as jnp
import numpy as np


def log_amplitudes(tokens, grid: tuple[int, int]) -> np.ndarray:
    """Computes the amplitude of patch tokens along the diagonal of their spectrum, relative to their mean's.

    log(|F| + 1e-6) of each feature's map, averaged over images and features, from frequency 0 to the highest
    along both axes, minus its first value: it is 0 at frequency 0, and lower values mean smoother maps.

    Args:
        tokens: [B, N, D], row-major.
        grid: (rows, columns) of patches, as many rows as columns.
    Returns:
        [rows // 2 + 1] floats; the last is the highest frequency's.
    Raises:
        ValueError: for a grid that does not fit or is not square.
    References:
        arXiv:2305.00729; naver-ai/cl-vs-mim, which leaves the highest frequency of an even grid out
    Examples:
        >>> checks = np.indices((4, 4)).sum(0) % 2 + 0.5
        >>> round(float(log_amplitudes(checks.reshape(1, 16, 1), (4, 4))[-1]), 2)
        -0.69
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 3 or grid[0] != grid[1] or tokens.shape[1] != grid[0] * grid[1]:
        raise ValueError(f"tokens have shape {tokens.shape}, expected [B, N, D] on a square grid, got {grid}")
    maps = jnp.asarray(tokens).reshape(len(tokens), *grid, -1)
    amplitude = jnp.log(jnp.abs(jnp.fft.fft2(maps, axes=(1, 2))) + 1e-6).mean((0, 3))
    diagonal = np.asarray(jnp.diagonal(amplitude))[: grid[0] // 2 + 1]
    return diagonal - diagonal[0]
