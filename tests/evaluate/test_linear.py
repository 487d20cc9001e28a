import jax.numpy as jnp
import numpy as np
import pytest

from jssl.evaluate import linear_probe


def digits():
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data.astype(np.float32), data.target


def test_is_as_good_as_logistic_regression():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x, y = digits()
    scaler = StandardScaler().fit(x[:1200])
    theirs = LogisticRegression(C=0.1, max_iter=1000).fit(scaler.transform(x[:1200]), y[:1200])
    theirs = theirs.score(scaler.transform(x[1200:]), y[1200:])
    ours = linear_probe(x[:1200], y[:1200], x[1200:], y[1200:], classes=10, steps=500)
    assert float(ours.accuracy) > theirs - 0.025 and theirs > 0.85


def test_weights_act_on_features_as_they_are():
    x, y = digits()
    x = 3.0 * x + 100.0
    result = linear_probe(x[:600], y[:600], x[600:900], y[600:900], classes=10, steps=100)
    predictions = (np.asarray(x[600:900]) @ np.asarray(result.kernel) + np.asarray(result.bias)).argmax(1)
    assert abs(float(result.accuracy) - np.mean(predictions == y[600:900])) < 0.01
    np.testing.assert_array_equal(result.kernel[0], 0.0)  # the corner pixel is always dark: a dead dimension


def test_same_arguments_same_numbers_and_another_seed_others():
    x, y = digits()
    arrays = x[:300], y[:300], x[300:400], y[300:400]
    first, second = (linear_probe(*arrays, classes=10, steps=20) for _ in range(2))
    np.testing.assert_array_equal(first.kernel, second.kernel)
    assert np.any(
        np.asarray(linear_probe(*arrays, classes=10, steps=20, seed=1).kernel) != np.asarray(first.kernel)
    )


def test_a_diverging_setting_is_not_chosen():
    x, y = digits()
    arrays = x[:300], y[:300], x[300:400], y[300:400]
    result = linear_probe(*arrays, classes=10, steps=200, learning_rates=(1e30, 0.1), weight_decays=(0.1,))
    assert float(result.learning_rate) == pytest.approx(0.1) and float(result.accuracy) > 0.8
    assert result.validation.shape == (2,) and float(result.validation[0]) == 0.0


def test_settings_do_not_disturb_each_other():
    x, y = digits()
    arrays = x[:300], y[:300], x[300:400], y[300:400]
    alone = linear_probe(*arrays, classes=10, steps=30, learning_rates=(0.1,), weight_decays=(0.0,))
    together = linear_probe(*arrays, classes=10, steps=30, learning_rates=(0.1, 1e-9), weight_decays=(0.0,))
    np.testing.assert_allclose(alone.kernel, together.kernel, rtol=1e-3, atol=1e-5)


def test_rows_on_the_host_come_part_by_part_and_give_the_same(monkeypatch):
    x, y = digits()
    arrays = x[:303] / 16, y[:303], x[303:400] / 16, y[303:400]
    settings = dict(classes=10, steps=23, batch=64)
    whole = linear_probe(*map(jnp.asarray, arrays), **settings)
    monkeypatch.setattr("jssl.evaluate.protocols.linear.PART", 64 * 64 * 5)  # five steps at a time
    monkeypatch.setattr("jssl.evaluate.protocols.linear.ROWS", 50)
    parts = linear_probe(*arrays, **settings)
    np.testing.assert_allclose(parts.kernel, whole.kernel, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(parts.validation, whole.validation, atol=1e-6)
    assert float(parts.accuracy) == pytest.approx(float(whole.accuracy)) and whole.accuracy > 0.7
    assert float(parts.learning_rate) == float(whole.learning_rate)


def test_chance_on_noise():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(500, 8)), rng.integers(0, 5, 500)
    result = linear_probe(x[:300], y[:300], x[300:], y[300:], classes=5, steps=50)
    assert float(result.accuracy) < 0.35


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(validation=0.0), "expected at least one row held out"),
        (dict(learning_rates=()), "must each hold at least one value"),
        (dict(steps=0), "steps is 0"),
        (dict(test_labels=np.zeros(3, int)), "test_labels has shape"),
        (dict(train_labels=-np.ones(20, int)), "train_labels are from -1 to -1, expected .* 0 to 1"),
        (dict(test_labels=np.full(20, 2)), "test_labels are from 2 to 2, expected .* 0 to 1"),
    ],
)
def test_wrong_arguments_are_named(change, words):
    x, y = np.ones((20, 3)), np.zeros(20, int)
    arguments = dict(train_features=x, train_labels=y, test_features=x, test_labels=y, classes=2) | change
    with pytest.raises(ValueError, match=words):
        linear_probe(**arguments)
