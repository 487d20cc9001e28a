import re

import jax.numpy as jnp
import numpy as np
import pytest

from jssl.evaluate import PROTOCOLS, Protocol, protocol, refusal, score
from jssl.evaluate.protocols.base import LABELLED, WORDS


def planted(rows, classes=3, width=8, seed=0, noise=0.1):
    """Features that say the label, among noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    return (np.eye(width)[labels] + noise * rng.normal(size=(rows, width))).astype(np.float32), labels


def given(classes=3, **change):
    (train, train_labels), (test, test_labels) = planted(90), planted(60, seed=1)
    prompts = np.eye(8, dtype=np.float32)[:classes, None]
    names = dict(train_features=train, train_labels=train_labels, test_features=test, test_labels=test_labels)
    layers = {f"{split}_layers": np.stack([x] * 5, 1) for split, x in (("train", train), ("test", test))}
    return names | layers | dict(classes=classes, test_embeddings=test, prompts=prompts) | change


FAST = {
    "linear": dict(steps=50),
    "linear_dino": dict(learning_rate=1.0, epochs=20),
    "linear_dinov2": dict(steps=20, learning_rates=(0.1, 1.0)),
    "linear_moco": dict(epochs=10),
    "linear_mae": dict(learning_rate=30.0, epochs=300),
    "logistic": dict(strengths=(0.1, 1.0)),
    "low_shot": dict(shares=(0.5,), draws=2),
    "k_shot": dict(shots=(5,), draws=3),
}
OF_FEATURES = sorted(
    name
    for name, make in PROTOCOLS.items()
    if "test_labels" in make().needs and set(make().needs) <= set(given())
)


@pytest.mark.parametrize("name", OF_FEATURES)
def test_a_planted_feature_gives_a_hundred_percent_and_shuffled_labels_chance(name):
    one = protocol(name, **FAST.get(name, {}))
    found = score([one], **given())
    assert one.name == name and found[one.headline] == 1.0 and set(FAST.get(name, {})) <= set(one.settings)
    shuffled = np.random.default_rng(2).permutation(given()["test_labels"])
    chance = score([one], **given(test_labels=shuffled))[one.headline]
    assert abs(chance - 1 / 3) < 3 * (2 / 9 / 60) ** 0.5


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_every_protocol_says_what_it_needs_and_what_defines_it(name):
    one = protocol(name)
    assert one.name == name and one.needs and one.main and isinstance(one.settings, dict)
    assert set(one.needs) <= {*WORDS, *LABELLED}


def test_the_numbers_of_measures_and_of_the_rotation_probe_are_settings():
    assert protocol("label_free").settings == dict(rows=4096, eps=1e-7, first=11, last=50, t=2.0)
    assert protocol("label_free_views").settings.items() >= dict(delta=1e-4, eps=1e-7).items()
    near, far = (score([protocol("label_free", t=t)], **given())["label_free_uniformity"] for t in (0.5, 2.0))
    assert far < near < 0
    probe, turned = (protocol(name).settings for name in ("linear", "self_augment"))
    assert set(turned) == {"images", *probe} and turned["learning_rates"] == probe["learning_rates"]
    with pytest.raises(ValueError, match="self_augment has no setting epochs; it has learning_rates"):
        protocol("self_augment", epochs=5)


@pytest.mark.parametrize("name", ["knn", "linear", "logistic", "k_shot", "linear_mae"])
def test_a_constant_feature_gives_the_majority_class_or_a_class(name):
    constant = given(train_features=np.ones((90, 8)), test_features=np.ones((60, 8)))
    one = protocol(name, **FAST.get(name, {}))
    top1 = score([one], **constant)[one.headline]
    shares = np.bincount(constant["test_labels"]) / 60
    assert np.isfinite(top1) and (name == "k_shot" or np.isclose(shares, top1).any())


def test_a_shift_of_features_changes_nothing_after_batch_norm():
    (train, labels), (test, test_labels) = planted(90, noise=0.5), planted(60, seed=1, noise=0.5)
    known = dict(train_labels=labels, test_labels=test_labels)
    one = protocol("linear_mae", **FAST["linear_mae"])
    still, shifted = (
        score([one], **given(train_features=train + by, test_features=test + by, **known))["linear_mae_top1"]
        for by in (0, np.float32(3000))
    )
    assert abs(still - shifted) < 0.02


def test_several_protocols_keep_their_metrics_apart():
    both = score([protocol("knn"), protocol("zero_shot")], **given())
    assert both == {"knn_top1": 1.0, "zero_shot_top1": 1.0}
    rmse = Protocol("depth", ("test_labels",), lambda test_labels: {"rmse": jnp.float32(2), "top1": 0.5})
    assert score([rmse], **given()) == {"depth_rmse": 2.0, "depth_top1": 0.5}


@pytest.mark.parametrize(
    "name, change, words",
    [
        ("knn", dict(train_labels=None), "knn is left out: it needs labels of training images"),
        ("zero_shot", dict(prompts=None), "zero_shot is left out: it needs embedded captions of every class"),
        ("linear", dict(classes=1), "linear is left out: it needs at least two classes, there is 1"),
        (
            "knn",
            dict(test_labels=np.array([-1, 2])),
            "labels of test images from 0 to 2, they are from -1 to 2",
        ),
        (
            "knn",
            dict(test_features=np.ones((60, 9))),
            "knn is left out: it needs features of one width, they are (8,) and (9,)",
        ),
        ("knn", dict(test_labels=np.array([], int)), "labels of test images from 0 to 2, they are none"),
    ],
)
def test_what_is_missing_is_said_in_one_line(name, change, words):
    there = given(**change)
    assert words in refusal(protocol(name), there) and "\n" not in refusal(protocol(name), there)
    with pytest.raises(ValueError, match=re.escape(words)):
        score([protocol(name)], **there)
    assert refusal(protocol(name), given()) is None


def test_neighbours_are_cut_to_a_small_training_set():
    few = given(train_features=np.eye(6, 8), train_labels=np.arange(6) % 3)
    assert score([protocol("knn", k=200)], **few)["knn_top1"] >= 0.0


@pytest.mark.parametrize("name", ["knn", "k_shot", "low_shot", "retrieval", "zero_shot"])
def test_long_features_in_half_precision_are_compared_in_single(name):
    (train, labels), (test, test_labels) = planted(90), planted(60, seed=1)
    train, test = (400 * x.astype(np.float16) for x in (train, test))  # whose squares are above 65,504
    there = given(train_features=train, test_features=test, test_embeddings=test)
    there |= dict(prompts=400 * np.eye(8)[:3, None].astype(np.float16))
    there |= dict(query_features=test, gallery_features=train, relevance=1 * (test_labels[:, None] == labels))
    one = protocol(name, **FAST.get(name, {}))
    assert score([one], **there)[one.headline] == 1.0


def test_an_unknown_protocol_is_named():
    with pytest.raises(ValueError, match="unknown protocol 'svm': expected one of knn, linear"):
        protocol("svm")


def test_a_setting_that_a_protocol_has_not_is_named():
    with pytest.raises(ValueError, match="knn has no setting neighbours; it has k, temperature"):
        protocol("knn", neighbours=5)
    with pytest.raises(ValueError, match="linear has no setting epochs; it has learning_rates"):
        protocol("linear", epochs=5)
    with pytest.raises(ValueError, match="linear_mae: warmup is 10, expected fewer epochs than all 10"):
        protocol("linear_mae", epochs=10)


def test_several_k_in_one_pass_are_those_of_each():
    (train, labels), (test, test_labels) = planted(90, noise=0.8), planted(60, seed=1, noise=0.8)
    there = given(train_features=train, train_labels=labels, test_features=test, test_labels=test_labels)
    several = score([protocol("knn", k=(5, 20, 90), temperature=1.0)], **there)
    alone = {
        f"knn_k{k}_top1": score([protocol("knn", k=k, temperature=1.0)], **there)["knn_top1"]
        for k in (5, 20, 90)
    }
    assert several == {"knn_top1": alone["knn_k5_top1"]} | alone and len(set(alone.values())) > 1


def test_templates_together_and_alone():
    prompts = np.stack([np.eye(8)[:3], np.roll(np.eye(8)[:3], 1, axis=0)], 1).astype(np.float32)
    found = score([protocol("zero_shot")], **given(prompts=prompts * [[[10.0], [1.0]]]))
    assert found["zero_shot_one_template_top1"] == pytest.approx(0.5, abs=0.01)
