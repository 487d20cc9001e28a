"""Features in the plane, so that one can look at their neighbourhoods."""

import numpy as np

from jssl.extras import extra


def tsne(features, *, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Places features in the plane by t-SNE, as scikit-learn computes it, on vectors of length 1.

    Args:
        features: [N, D]; a few thousand at most.
        perplexity: About how many neighbours each one has; made smaller where there are few features.
        seed: Of the optimisation; the start is the principal components.
    Returns:
        [N, 2]; only who lies near whom has a meaning.
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
    features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    perplexity = min(perplexity, (len(features) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed).fit_transform(
        features
    )
