"""Protocols without labels: the rank and spectrum of features, and how well views of one image agree."""

import jax.numpy as jnp

from jssl.data.splits import evenly
from jssl.evaluate.measures.metrics import alignment, alpha_req, lidar, rank_me, uniformity
from jssl.evaluate.protocols.base import Protocol


def label_free(
    *, rows: int = 4096, eps: float = 1e-7, first: int = 11, last: int = 50, t: float = 2.0
) -> Protocol:
    """Makes the measures of features alone: RankMe, alpha-ReQ and uniformity.

    Args:
        rows: The most training rows used, evenly spread over all.
        eps: Of `rank_me`.
        first: Of `alpha_req`, the first eigenvalue of the fit.
        last: The last one.
        t: Of `uniformity`.
    Returns:
        The `Protocol` "label_free" with "rank_me", "alpha_req" and "uniformity". It needs train_features.
    References:
        arXiv:2210.02885, arXiv:2202.05808, arXiv:2005.10242
    """

    def run(train_features):
        z = jnp.asarray(train_features)[evenly(len(train_features), rows)]
        found = {"rank_me": rank_me(z, eps=eps), "alpha_req": alpha_req(z, first=first, last=last)}
        return found | {"uniformity": uniformity(z, t=t)}

    settings = dict(rows=rows, eps=eps, first=first, last=last, t=t)
    return Protocol("label_free", ("train_features",), run, main="rank_me", settings=settings)


def label_free_views(
    *, images: int = 1000, views: int = 10, delta: float = 1e-4, eps: float = 1e-7, seed: int = 0
) -> Protocol:
    """Makes the measures of several views of each image: LiDAR and alignment.

    Args:
        images: How many images are used.
        views: How many views of each; LiDAR's paper uses 50 of each of 1,000 images.
        delta: Of `lidar`.
        eps: Of `lidar`.
        seed: Of the views.
    Returns:
        The `Protocol` "label_free_views" with "lidar" and "alignment". It needs `train_views`: (images,
        views, seed) -> features [images, views, D].
    References:
        arXiv:2312.04000, arXiv:2005.10242
    """

    def run(train_views):
        z = train_views(images, views, seed)
        found = {"lidar": lidar(z, delta=delta, eps=eps)}
        return found | {"alignment": alignment(z[:, 0], z[:, 1])}

    settings = dict(images=images, views=views, delta=delta, eps=eps, seed=seed)
    return Protocol("label_free_views", ("train_views",), run, main="lidar", settings=settings)
