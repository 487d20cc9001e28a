"""What features show without labels: their rank, their spectrum, and how views of one image agree."""

import jax.numpy as jnp

from jssl.data.splits import evenly
from jssl.evaluate.measures.metrics import alignment, alpha_req, lidar, rank_me, uniformity
from jssl.evaluate.protocols.base import Protocol


def label_free(*, rows: int = 4096) -> Protocol:
    """Makes the measures of features alone: RankMe, alpha-ReQ and uniformity.

    Args:
        rows: The most training rows that are looked at, spread over them.
    Returns:
        The `Protocol` "label_free" with "rank_me", "alpha_req" and "uniformity". It needs train_features.
    References:
        arXiv:2210.02885, arXiv:2202.05808, arXiv:2005.10242
    """

    def run(train_features):
        z = jnp.asarray(train_features)[evenly(len(train_features), rows)]
        return {"rank_me": rank_me(z), "alpha_req": alpha_req(z), "uniformity": uniformity(z)}

    return Protocol("label_free", ("train_features",), run, main="rank_me", settings={"rows": rows})


def label_free_views(*, images: int = 1000, views: int = 10, seed: int = 0) -> Protocol:
    """Makes the measures of several views of each image: LiDAR and alignment.

    Args:
        images: How many are looked at.
        views: Of each; LiDAR's paper has 50 of 1,000 images.
        seed: Of the views.
    Returns:
        The `Protocol` "label_free_views" with "lidar" and "alignment". It needs `train_views`: (images,
        views, seed) -> features [images, views, D].
    References:
        arXiv:2312.04000, arXiv:2005.10242
    """

    def run(train_views):
        z = train_views(images, views, seed)
        return {"lidar": lidar(z), "alignment": alignment(z[:, 0], z[:, 1])}

    settings = dict(images=images, views=views, seed=seed)
    return Protocol("label_free_views", ("train_views",), run, main="lidar", settings=settings)
