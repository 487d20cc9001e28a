"""Projects features to the plane, where their neighbourhoods can be seen."""

import numpy as np

from jssl.arrays.vectors import unit_on_host
from jssl.extras import extra


def principal_plane(features) -> tuple[np.ndarray, float]:
    """Finds the plane in which features of unit length vary most.

    The same features give the same points: the sign of each axis makes its largest entry positive.

    Args:
        features: [N, D], N >= 2.
    Returns:
        (points [N, 2], the share of the variance in the plane).
    Examples:
        >>> points, share = principal_plane([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
        >>> points.shape, round(share, 3)
        ((3, 2), 1.0)
    """
    x = unit_on_host(np.asarray(features, np.float64))
    x = np.nan_to_num(x - x.mean(0))
    values, vectors = np.linalg.eigh(x.T @ x)  # in rising order
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    points = np.pad(x @ axes, ((0, 0), (0, 2 - axes.shape[1])))
    return points, float(values[::-1][:2].sum() / max(values.sum(), 1e-12))


def tsne(features, *, seed: int = 0) -> np.ndarray:
    """Places features in the plane by t-SNE, as scikit-learn computes it, on vectors of length 1.

    Args:
        features: [N, D]; a few thousand at most.
        seed: Of the optimisation; the start is the principal components.
    Returns:
        [N, 2]; only neighbourhoods have a meaning, not axes or distances.
    Raises:
        ValueError: for another rank, or fewer than four features.
        ImportError: without scikit-learn.
    References:
        van der Maaten and Hinton, JMLR 2008
    """
    with extra():
        from sklearn.manifold import TSNE

    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 4:
        raise ValueError(f"features have shape {features.shape}, expected [N, D] with N of at least 4")
    features = unit_on_host(features)
    perplexity = min(30.0, (len(features) - 1) / 3)  # about how many neighbours each one has
    return TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed).fit_transform(
        features
    )
