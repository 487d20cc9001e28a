"""Wrong sizes and foreign entries that once ended in a traceback, or in nothing being trained."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jssl.experiments import moco_v3

from jssl.data import from_arrays
from jssl.data.sources import tfds
from jssl.data.views import NAMED
from jssl.optim import hold_lower_blocks
from jssl.run.directory.best import MARK, kept_at
from jssl.run.gallery import write_gallery
from jssl.run.settings.experiment import DataInfo
from jssl.run.settings.plain import plain


def test_more_blocks_held_than_there_are():
    params = {"encoder": {"block_0": jnp.ones(1), "block_1": jnp.ones(1), "norm": jnp.ones(1)}}
    hold_lower_blocks(2).update(params, optax.EmptyState(), params)
    with pytest.raises(ValueError, match="3 blocks are to stand still, 'encoder' has 2"):
        hold_lower_blocks(3).update(params, optax.EmptyState(), params)


def test_patches_that_stand_still_do_so_under_lora():
    built = replace(moco_v3.demo, lora=2, scan=False).build(DataInfo("some", 64, (24, 24, 3), 24, 2, {}))
    params = {"encoder": {"stem": jnp.ones((2, 2)), "attn": {"kernel": jnp.ones((2, 2))}}}
    updates, _ = built.optimizer.update(params, built.optimizer.init(params), params)
    assert not np.any(updates["encoder"]["stem"])


@pytest.mark.parametrize(
    "wrong", [dict(images=0), dict(images=-1), dict(size=0), dict(size=-3), dict(seed=-1)]
)
def test_a_gallery_of_nothing(wrong, tmp_path):
    with pytest.raises(ValueError, match="must be at least 1"):
        write_gallery(NAMED["simclr"], str(tmp_path / "g.png"), **wrong)


SAMPLES = [(np.zeros((4, 4, 3), np.uint8), 0)] * 9


@pytest.mark.parametrize(
    "data, told",
    [
        (Path("photos"), "photos"),
        (SAMPLES, "a list"),
        ((SAMPLES, from_arrays(np.zeros((2, 4, 4, 3), np.uint8))), ["a list", "arrays"]),
        (np.zeros((9, 9, 9, 3), np.uint8), "a ndarray"),
        ([0.5, 1], [0.5, 1]),
    ],
)
def test_a_config_tells_what_data_is_and_not_all_of_it(data, told):
    assert plain(data) == told


@pytest.mark.parametrize(
    "values", [["a", "b"], [1j, 2j], [None, 1], np.array(["2026-01-01"] * 2, "datetime64[D]")]
)
def test_what_travels_with_images_are_numbers(values):
    with pytest.raises(ValueError, match="depth must be numbers"):
        from_arrays(np.zeros((2, 4, 4, 3), np.uint8), depth=np.array(values))


def test_tfds_labels_that_are_no_classes(monkeypatch):
    class Prepared(list):
        dataset_info = SimpleNamespace(features={"image": None, "label": object()}, splits={})

        def __getitems__(self, rows):
            if rows == [1]:
                raise RuntimeError("open() failed")
            return [self[row] for row in rows]

    record = {"image": b"", "label": 0.5, "boxes": np.ones((3, 4))}
    monkeypatch.setattr(tfds, "open_prepared", lambda *_, **__: Prepared([record]))
    records = tfds.prepared_records("regression")
    assert records.class_names == () and records[0] == {"image": b""}
    with pytest.raises(OSError, match="tfds:regression is not whole: open.. failed; prepare it again"):
        records[1]


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000])
def test_a_mark_that_no_run_wrote(content, tmp_path):
    (tmp_path / MARK).write_text(content)
    with pytest.raises(OSError, match="is not what a run writes"):
        kept_at(tmp_path)
