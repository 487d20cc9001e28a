"""Where attention lies."""

import numpy as np


def most_attended(attention, *, share: float = 0.6) -> np.ndarray:
    """Finds the smallest set of patches that holds a share of the attention.

    Args:
        attention: [..., N] weights on the patches, not negative.
        share: Of each row's sum, in (0, 1].
    Returns:
        [..., N] bool; of equal weights the first patch is chosen first.
    Raises:
        ValueError: for a share that is not in (0, 1].
    References:
        DINO's segmentation figure, arXiv:2104.14294
    Examples:
        >>> most_attended(np.array([0.1, 0.6, 0.3])).tolist()
        [False, True, False]
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, expected a number above 0, at most 1")
    attention = np.asarray(attention, np.float64)
    order = np.argsort(-attention, axis=-1, kind="stable")
    sorted_weights = np.take_along_axis(attention, order, axis=-1)
    before = np.cumsum(sorted_weights, axis=-1) - sorted_weights
    wanted = share * attention.sum(-1, keepdims=True)
    chosen = np.zeros(attention.shape, bool)
    np.put_along_axis(chosen, order, before < wanted - 1e-9 * np.abs(wanted), axis=-1)
    return chosen
