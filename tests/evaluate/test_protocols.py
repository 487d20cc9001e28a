import jax.numpy as jnp
import numpy as np
import pytest

from jssl.evaluate import PROTOCOLS, Protocol, protocol, refusal, score


def planted(rows, classes=3, width=8, seed=0, noise=0.1):
    """Features that say the label, among noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    return (np.eye(width)[labels] + noise * rng.normal(size=(rows, width))).astype(np.float32), labels


def given(classes=3, **change):
    (train, train_labels), (test, test_labels) = planted(90), planted(60, seed=1)
    prompts = np.eye(8, dtype=np.float32)[:classes, None]
    names = dict(train_features=train, train_labels=train_labels, test_features=test, test_labels=test_labels)
    return names | dict(classes=classes, test_embeddings=test, prompts=prompts) | change


FAST = {"linear": dict(steps=50), "logistic": dict(strengths=(0.1, 1.0))}


OF_FEATURES = sorted(name for name, make in PROTOCOLS.items() if set(make().needs) <= set(given()))


@pytest.mark.parametrize("name", OF_FEATURES)
def test_a_planted_feature_gives_a_hundred_percent_and_shuffled_labels_chance(name):
    one = protocol(name, **FAST.get(name, {}))
    assert one.name == name and score([one], **given()) == {f"{name}_top1": 1.0}
    shuffled = np.random.default_rng(2).permutation(given()["test_labels"])
    assert abs(score([one], **given(test_labels=shuffled))[f"{name}_top1"] - 1 / 3) < 3 * (2 / 9 / 60) ** 0.5


@pytest.mark.parametrize("name", ["knn", "linear", "logistic"])
def test_a_constant_feature_gives_the_majority_class_or_a_class(name):
    constant = given(train_features=np.ones((90, 8)), test_features=np.ones((60, 8)))
    (top1,) = score([protocol(name, **FAST.get(name, {}))], **constant).values()
    shares = np.bincount(constant["test_labels"]) / 60
    assert np.isclose(shares, top1).any()


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
        ("knn", dict(test_labels=np.array([], int)), "labels of test images from 0 to 2, they are none"),
    ],
)
def test_what_is_missing_is_said_in_one_line(name, change, words):
    there = given(**change)
    assert words in refusal(protocol(name), there) and "\n" not in refusal(protocol(name), there)
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        score([protocol(name)], **there)
    assert refusal(protocol(name), given()) is None


def test_neighbours_are_cut_to_a_small_training_set():
    few = given(train_features=np.eye(6, 8), train_labels=np.arange(6) % 3)
    assert score([protocol("knn", k=200)], **few)["knn_top1"] >= 0.0


def test_an_unknown_protocol_is_named():
    with pytest.raises(ValueError, match="unknown protocol 'svm': expected one of knn, linear"):
        protocol("svm")
