"""What holds of every system's settings: flips, spans in epochs, rates, the evaluation's crop."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from jssl.experiments import REGISTRY

from jssl.data import views
from jssl.data.augment.base import Canvas
from jssl.run.settings.systems import named
from tests.faithful.quoted import IMAGENET, KEY, SLOPE, per_epoch


@pytest.mark.parametrize(
    "make, flips",
    [
        (views.i_jepa, False),
        (views.clip, False),
        (views.mae, True),
        (views.npid, True),
        (views.npid_cifar, False),
    ],
)
def test_who_mirrors_images(make, flips):
    seen = make(size=16)(KEY, SLOPE)["global"][0, ..., 0]
    rising = jnp.mean(jnp.diff(seen, axis=2), axis=(1, 2)) > 0
    assert bool(jnp.all(rising)) != flips


# all


@pytest.mark.parametrize("name", REGISTRY)
def test_spans_are_epochs(name):
    settings = replace(named(name)(), steps=None)
    assert settings.span(1, IMAGENET) == per_epoch(settings)


@pytest.mark.parametrize(
    "name",
    [
        "simclr",
        "simclr_v2",
        "nnclr",
        "moco_v3",
        "flip",
        "byol",
        "barlow_twins",
        "vicreg",
        "simsiam",
        "dino",
        "ibot",
        "mae",
    ],
)
def test_rates_are_given_per_256_images(name):
    settings = named(name)()
    assert settings.rate_per == 256
    assert named(name)(batch=2 * settings.batch).peak_rate == pytest.approx(2 * settings.peak_rate)


def test_evaluation_takes_the_central_224_of_a_short_side_of_256():
    """On a canvas: a wide image whose outer rows and columns are white, beyond 224/256 of the short side."""
    pixels = np.full((1, 256, 512, 3), 255, np.uint8)
    pixels[:, 16:-16, 128 + 16 : -128 - 16] = 0
    seen = views.evaluation_view(224, mean=(0, 0, 0), std=(1, 1, 1))(Canvas(pixels, np.array([[256, 512]])))
    assert seen.shape == (1, 224, 224, 3) and not np.any(seen)
