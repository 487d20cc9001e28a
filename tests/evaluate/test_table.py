import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jssl.data.augment.base import as_float
from jssl.evaluate import (
    Labelled,
    extract_features,
    format_table,
    knn_accuracy,
    knn_protocol,
    linear_protocol,
    pixels,
    score_pixels,
    score_table,
)
from jssl.models.features import Features
from jssl.sharding import make_mesh, replicated

PROTOCOLS = knn_protocol(k=5), linear_protocol(steps=100)


def images(count, side=8, seed=0, stripe=40):
    """Noise around a bright common mean; one class has a brighter stripe."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    x = rng.integers(150, 200, (count, side, side, 3))
    x[:, 2] += stripe * labels[:, None, None]
    return Labelled(x.astype(np.uint8), labels)


@pytest.mark.parametrize("batch", [1, 4, 10, 64])
@pytest.mark.parametrize("where", [np.asarray, jnp.asarray])
def test_features_of_all_images_whatever_the_batch(batch, where):
    x = where(images(10).values)
    found = extract_features(lambda x: Features(x.mean((1, 2)), x.reshape(len(x), -1, 3)), x, batch=batch)
    np.testing.assert_allclose(found.cls, np.asarray(x).mean((1, 2)) / 255, rtol=1e-5)
    assert found.tokens.shape == (10, 64, 3)


def test_a_function_of_parameters_compiles_once():
    traces = []

    def features(params, x):
        traces.append(x.shape)
        return params * x.mean((1, 2))

    def view(x):
        return x[:, :4] / 255

    x = images(10).values
    for scale in (1.0, 2.0):
        found = extract_features(jax.tree_util.Partial(features, jnp.float32(scale)), x, batch=4, view=view)
        np.testing.assert_allclose(found, scale * x[:, :4].mean((1, 2)) / 255, rtol=1e-5)
    assert traces == [(4, 4, 8, 3)]


def test_batches_are_spread_over_the_devices_of_the_parameters():
    seen, mesh, x = [], make_mesh("data=4,fsdp=2"), images(13).values

    def features(params, x):
        jax.debug.inspect_array_sharding(x, callback=lambda sharding: seen.append(sharding))
        return x.mean((1, 2)) @ params

    params = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    placed = jax.device_put(params, NamedSharding(mesh, PartitionSpec(None, "fsdp")))
    found = extract_features(jax.tree_util.Partial(features, placed), x, batch=4)
    np.testing.assert_allclose(found, x.mean((1, 2)) / 255 @ params, rtol=1e-4, atol=1e-6)
    assert found.sharding.device_set == {jax.devices()[0]}
    assert seen[0].shard_shape((8, 8, 8, 3)) == (1, 8, 8, 3)


@pytest.mark.parametrize(
    "change, error, words",
    [
        (dict(images=np.zeros((0, 8, 8, 3))), ValueError, r"N >= 1, got shape \(0, 8, 8, 3\)"),
        (dict(images=np.zeros((8, 8, 3))), ValueError, r"must be \[N, H, W, C\]"),
        (dict(batch=0), ValueError, "batch must be at least 1"),
        (dict(images=np.zeros((2, 4, 4, 3), np.int32)), TypeError, "must be uint8, or float .* got int32"),
        (dict(images=np.zeros((2, 4, 4, 3), np.uint16)), TypeError, "got uint16"),
        (dict(images=np.full((2, 4, 4, 3), 255.0)), ValueError, "floats up to 255; divide by 255"),
        (dict(images=np.arange(3.0)[:, None, None, None] * [[[[45.0]]]]), ValueError, "floats up to 90"),
    ],
)
def test_wrong_arguments_are_named(change, error, words):
    with pytest.raises(error, match=words):
        extract_features(**dict(features_fn=lambda x: x, images=np.zeros((2, 4, 4, 3))) | change)


def test_pixels_are_floats_and_large_images_shrink():
    x = images(3).values
    np.testing.assert_allclose(pixels(x), x.reshape(3, -1) / 255, rtol=1e-6)
    np.testing.assert_allclose(
        pixels(np.full((2, 64, 64, 3), 51, np.uint8), side=4), np.full((2, 48), 0.2), rtol=1e-5
    )


def test_centred_pixels_lack_the_mean_training_image():
    train, test = images(200, stripe=6), images(100, stripe=6, seed=1)
    table = score_pixels(train, test, classes=2, protocols=PROTOCOLS)
    mean = train.values.mean(0)
    for name, shift in (("raw pixels", 0.0), ("raw pixels, centred", mean)):
        a, b = ((part.values - shift).reshape(len(part.values), -1) for part in (train, test))
        accuracy = knn_accuracy(a, train.labels, b, test.labels, classes=2, k=5)
        assert table[name]["knn_top1"] == pytest.approx(float(accuracy), abs=0.011)
    raw, centred = table.values()
    assert raw["knn_top1"] != centred["knn_top1"] and raw["linear_top1"] == centred["linear_top1"] > 0.6


def test_the_table_ranks_a_good_network_above_a_blind_one():
    def learned(x):
        return x[:, 2].mean((1, 2))[:, None] - 0.75 + jnp.zeros(2).at[0].set(1e-6)

    def blind(x):
        return jnp.stack([x[:, 5].mean((1, 2)), x[:, 6].mean((1, 2))], axis=1)

    train, test = images(200), images(100, seed=1)
    table = score_table(learned, blind, train, test, classes=2, protocols=PROTOCOLS, batch=64)
    assert list(table) == ["raw pixels", "raw pixels, centred", "random network", "learned"]
    assert all(list(row) == ["knn_top1", "linear_top1"] for row in table.values())
    assert table["learned"]["linear_top1"] > 0.95 > 0.7 > table["random network"]["linear_top1"]
    text = format_table(table)
    assert len({len(line) for line in text.splitlines()}) == 1
    assert f"{100 * table['learned']['knn_top1']:.1f}" in text.splitlines()[-1]


def test_a_table_has_a_column_for_every_metric_of_any_row():
    text = format_table({"raw pixels": {"knn_top1": 0.1}, "learned": {"depth_rmse": 12.3456}})
    assert text.splitlines()[0].split("  ")[-1] == "depth rmse"
    assert text.splitlines()[1].split() == ["raw", "pixels", "10.0", "-"]
    assert text.splitlines()[2].split() == ["learned", "-", "12.3"]


def test_many_batches_on_many_devices_do_not_wait_for_each_other():
    """On a CPU, programs under way at once that gather over eight devices wait for ever, and XLA aborts."""
    placed = jax.device_put(np.eye(48, dtype=np.float32), replicated(make_mesh("data=8")))
    x = np.random.default_rng(0).integers(0, 256, (800, 8, 8, 3), np.uint8)

    def features(params, x):
        pixels = x.reshape(len(x), -1)[:, :48]
        return jnp.linalg.qr(pixels[:, :, None] * pixels[:, None] + params)[0].mean(1)

    found = extract_features(jax.tree_util.Partial(features, placed), x, batch=8)
    np.testing.assert_allclose(found[-8:], features(placed, as_float(x[-8:])), rtol=1e-3, atol=1e-5)
