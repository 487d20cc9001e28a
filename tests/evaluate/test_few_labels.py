import jax
import numpy as np
import pytest

from jssl.arrays.jaxprs import bodies
from jssl.data.splits import balanced
from jssl.evaluate import knn_accuracy, logistic_probe, protocol
from jssl.evaluate.protocols.few_labels import _prototype_top1, _row_normalised
from jssl.evaluate.protocols.suite import mean_class_accuracy

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 200)
X = (np.eye(6)[LABELS] + 0.6 * RNG.normal(size=(200, 6))).astype(np.float32)
GIVEN = dict(
    train_features=X[:120],
    train_labels=LABELS[:120],
    test_features=X[120:],
    test_labels=LABELS[120:],
    classes=4,
)


def test_one_image_per_class_is_the_nearest_neighbour():
    found = protocol("k_shot", shots=(1, 5), draws=4).run(**GIVEN)
    tops = []
    for draw in range(4):
        rows = balanced(LABELS[:120], per_class=1, seed=draw)
        few = X[:120][rows], LABELS[:120][rows]
        tops.append(float(knn_accuracy(*few, X[120:], LABELS[120:], classes=4, k=1)))
    assert found["n1_top1"] == pytest.approx(np.mean(tops), abs=1e-6)
    assert found["n1_interval"] == pytest.approx(1.96 * np.std(tops) / 2, abs=1e-6)
    assert found["n5_top1"] > found["n1_top1"]


def test_a_class_without_images_is_never_found():
    some = LABELS[:120] != 3
    given = GIVEN | dict(train_features=X[:120][some], train_labels=LABELS[:120][some])
    assert protocol("k_shot", shots=(20,), draws=1).run(**given)["n20_top1"] <= np.mean(LABELS[120:] != 3)


def test_no_product_that_finds_the_nearest_mean_is_rounded_on_accelerators():
    def precisions(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                yield equation.params["precision"]
            for body in bodies(equation.params):
                yield from precisions(body)

    given = X[:8], LABELS[:8], X[8:], LABELS[8:], np.arange(8).reshape(2, 4)
    found = list(precisions(jax.make_jaxpr(_prototype_top1, static_argnums=5)(*given, 4).jaxpr))
    assert found and None not in found


def test_a_share_of_the_labels_by_logistic_regression():
    found = protocol("low_shot", shares=(0.1, 0.5), draws=2).run(**GIVEN)
    train, test = _row_normalised(X[:120]), _row_normalised(X[120:])
    np.testing.assert_allclose(np.linalg.norm(train, axis=1), 1.0, rtol=1e-5)
    tops = []
    for draw in range(2):
        rows = balanced(LABELS[:120], share=0.1, seed=draw)
        assert set(rows) <= set(balanced(LABELS[:120], share=0.5, seed=draw))
        few = train[rows], LABELS[:120][rows], test, LABELS[120:]
        tops.append(float(logistic_probe(*few, classes=4, strengths=(400.0,), iterations=300).accuracy))
    assert found["p10_top1"] == pytest.approx(np.mean(tops)) and found["p50_top1"] > 0.6
    assert found["p10_spread"] == pytest.approx(np.std(tops), abs=1e-6)


def test_transfer_scores_every_set_and_their_mean():
    poor = GIVEN | dict(test_labels=np.roll(LABELS[120:], 1))
    one = protocol("transfer", strengths=(1.0,))
    found = one.run(sets={"good": GIVEN, "tfds:a_b": poor})
    assert found["good_top1"] > 0.55 > 0.45 > found["tfds:a-b_top1"] and one.main == "mean_top1"
    assert found["mean_top1"] == pytest.approx((found["good_top1"] + found["tfds:a-b_top1"]) / 2)
    with pytest.raises(ValueError, match="transfer: bare: .* it needs labels of training images"):
        one.run(sets={"bare": GIVEN | dict(train_labels=None)})


def test_strengths_are_the_inverses_of_the_authors_weight_decays():
    strengths = protocol("transfer").settings["strengths"]
    np.testing.assert_allclose(strengths[::-1], 1 / np.logspace(-6, 5, 45))
    np.testing.assert_allclose(protocol("logistic").settings["strengths"], np.logspace(-6, 5, 45))


def test_the_strength_of_few_labels_is_the_inverse_of_msns_weight_decay():
    assert protocol("low_shot").settings["strength"] == pytest.approx(1 / 0.0025)  # over the images, as C is


def test_one_class_for_all_is_right_in_one_class_of_four():
    assert mean_class_accuracy(np.tile([0.0, 1, 0, 0], (80, 1)), LABELS[120:]) == 0.25


def test_rotations_are_told_by_features_that_see_them_alone():
    images = RNG.integers(0, 60, (30, 8, 8, 3)).astype(np.uint8)
    images[:, 0] += 150  # a bright edge, which turns
    one = protocol("self_augment", steps=50)
    sides = lambda x: np.stack([x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]], 1).mean((2, 3))  # noqa: E731
    assert one.run(train_images=images, test_images=images, encode=sides)["top1"] == 1.0
    blind = one.run(train_images=images, test_images=images, encode=lambda x: x.mean((1, 2)) / 255)
    assert abs(float(blind["top1"]) - 0.25) < 0.15
    with pytest.raises(ValueError, match="turns square images, got 8 x 4"):
        one.run(train_images=images[:, :, :4], test_images=images, encode=sides)


@pytest.mark.parametrize(
    "name, settings, words",
    [
        ("low_shot", dict(shares=(0.0,)), "shares must hold numbers above 0"),
        ("k_shot", dict(shots=()), "shots is 0"),
        ("k_shot", dict(draws=0), "draws is 0"),
    ],
)
def test_wrong_settings_are_named(name, settings, words):
    with pytest.raises(ValueError, match=words):
        protocol(name, **settings)
