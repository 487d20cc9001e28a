"""The end of a run: its table, its figures, and what each of them may cost."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl.data import multi_crop, normalize, random_resized_crop
from jssl.data.augment.base import chain
from jssl.evaluate.figures.style import panels
from jssl.methods import dino, mae
from jssl.models import ViT, dino_head, mae_decoder
from jssl.run.evaluation.probing import as_figures, from_figures
from jssl.run.interrupt import Interrupted
from jssl.run.plan import plan
from jssl.run.settings.options import Options
from jssl.run.summary import _drawn, _figures, _map, _neighbours, _sentence, _views, _warnings
from jssl.train import init_state
from tests.run import tiny


def test_a_figure_that_fails_costs_a_line():
    figure, _ = panels(1, 1, width=2, height=1)

    def broken():
        yield "half of it", figure
        raise RuntimeError("no\nsuch array")

    figures = [
        ("loss", lambda: [("The loss.", figure)]),
        ("none", lambda: []),
        ("probe", broken),
        ("figure_0", lambda: [("One.", figure), ("Two.", figure)]),
    ]
    drawn, notes = _drawn(figures)
    assert [told[:2] for told in drawn] == [
        ("loss", "The loss."),
        ("figure_0_0", "One."),
        ("figure_0_1", "Two."),
    ]
    assert all(png.startswith(b"\x89PNG") and b"<svg" in svg for _, _, png, svg in drawn)
    assert notes == ["The figure probe could not be drawn: RuntimeError: no such array"]


def test_a_run_that_went_back_is_told_by_the_step_it_keeps(tmp_path):
    planned = plan(tiny.Tiny(), Options(out=str(tmp_path)))
    assert _sentence(planned, [], 12).startswith("12 steps of ")
    assert _sentence(planned, [], 4).startswith("4 of 12 steps of ")
    rows = [{"step": 4, "loss": 1.0, "feature_std": 0.5}, {"step": 8, "loss": None, "feature_std": 0.001}]
    rows.append({"step": 8, "knn_top1": 0.7})  # what is written after going back
    assert _warnings(rows, 4) == [] and "collapsed to a point" in _warnings(rows, 8)[0]
    assert _warnings(rows[2:], 8) == []


def test_a_signal_while_drawing_is_no_failed_figure():
    def stopped():
        raise Interrupted

    with pytest.raises(Interrupted):
        _drawn([("loss", stopped)])


def test_the_table_is_read_back_from_the_log():
    table = {
        "raw pixels": {"knn_top1": 0.1, "depth_rmse": 2.0},
        "raw pixels, centred": {"knn_top1": 0.2, "depth_rmse": 2.0},
        "random network": {"knn_top1": 0.3, "depth_rmse": 1.5},
        "learned": {"knn_top1": 0.7, "depth_rmse": 0.5},
    }
    baselines = {row: scores for row, scores in table.items() if row != "learned"}
    rows = [
        {"step": 0, "knn_top1": 0.3} | as_figures(baselines),
        {"step": 5, "loss": 1.0, "knn_top1": 0.6},
        {"step": 10, "loss": 0.5} | as_figures({"learned": table["learned"]}),
    ]
    assert from_figures(rows) == table and list(from_figures(rows)) == list(table)
    assert from_figures([{"step": 1, "loss": 2.0}]) == {}
    assert np.isnan(from_figures([*rows, {"step": 11, "depth_rmse": None}])["learned"]["depth_rmse"])


VIT = ViT(patch=4, dim=8, depth=1, heads=2)


@pytest.mark.parametrize(
    "method, evaluated",
    [
        (dino(VIT, prototypes=8, head=partial(dino_head, hidden=8, bottleneck=4)), "teacher"),
        (mae(VIT, decoder=mae_decoder(4, dim=8, depth=1, heads=2)), "params"),
    ],
)
def test_attention_is_that_of_the_network_which_is_evaluated(method, evaluated):
    crop = chain(random_resized_crop(size=8), normalize())
    batch = {"image": jnp.zeros((2, 8, 8, 3), jnp.uint8), "index": jnp.arange(2)}
    start = partial(init_state, method, optax.sgd(0.1), multi_crop(crop, crop), batch, key=jax.random.key(0))
    state = jax.eval_shape(start)
    variables = method.encoder(state.params, state.teacher, state.memory)
    assert list(variables) == ["params"] and variables["params"] is getattr(state, evaluated)["encoder"]


def test_the_views_are_drawn_as_the_network_is_shown_them(tmp_path):
    planned = plan(tiny.Tiny(), Options(out=str(tmp_path)))
    ((caption, figure),) = _views(planned)
    assert caption.startswith("What the network was shown") and figure.axes
    assert "views" not in {name for name, _ in _figures(planned, [], {}, None, None)}  # of twelve steps
    longer = plan(tiny.Tiny(steps=60), Options(out=str(tmp_path)))
    assert "views" in {name for name, _ in _figures(longer, [], {}, None, None)}


def test_the_nearest_are_found_among_others_and_only_labels_are_framed(tmp_path):
    labelled = plan(tiny.Tiny(), Options(out=str(tmp_path)))
    bare = plan(tiny.Tiny(data="bare"), Options(out=str(tmp_path)))
    for planned, said in ((labelled, "Held-out images, left"), (bare, "Training images, left")):
        train, test = planned.data.source, planned.data.test or planned.data.source
        rows, held = np.arange(len(train)), np.arange(len(test))
        bank, found = (x.images.reshape(len(x), -1) / np.float32(255) for x in (train, test))
        ((caption, _),) = _neighbours(planned, rows, bank, held, found)
        assert caption.startswith(said) and ("blue" in caption) == (planned is labelled)
        ((caption, _),) = _map(planned, rows, bank, held, found)
        assert caption.startswith(
            f"Features of {len(test)} {'held-out' if planned is labelled else 'training'}"
        )
