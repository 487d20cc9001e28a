"""Pictures for the report show images in the colors that they have."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from jssl.data import evaluation_view
from jssl.data.views import statistics
from jssl.evaluate import figures
from jssl.objectives import Outputs, patchify
from jssl.run.settings.pictures import reconstruction_figure


@pytest.mark.parametrize("name", ["simclr", "clip", "mae"])
def test_reconstructions_undo_the_normalisation_of_their_view(name, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    shown = {}
    monkeypatch.setattr(
        figures, "reconstructions", lambda seen, mask, filled, grid: shown.update(seen=seen, filled=filled)
    )

    def perfect(params, teacher, memory, views, key):
        return Outputs(
            {"patch": patchify(views["global"][0], 4)[None]}, {}, mask=jnp.ones((1, 2, 4), bool), views=views
        )

    mean, std = statistics(name)
    view = evaluation_view(8, mean=mean, std=std)
    state = SimpleNamespace(params={}, teacher={}, memory={})
    method = SimpleNamespace(outputs=perfect)
    (figure,) = reconstruction_figure(method, view, patch=4, normalized=statistics(name))
    figure(state, images)
    for one in shown.values():
        np.testing.assert_allclose(one, images / 255, atol=1e-6)
