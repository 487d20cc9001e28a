"""A small network that stands for published weights."""

import jax
import numpy as np
import pytest

from jssl.models import ViT
from jssl.weights import Loaded, Preprocess


@pytest.fixture(scope="module")
def loaded():
    """Two blocks over 8 x 8 pixels."""
    network = ViT(patch=4, dim=8, depth=2, heads=2)
    variables = jax.jit(network.init)(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))
    return Loaded(network, variables, preprocess=Preprocess(8, 8))
