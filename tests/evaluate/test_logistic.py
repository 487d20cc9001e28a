import jax.numpy as jnp
import numpy as np
import pytest

from jssl.evaluate import logistic_probe
from tests.evaluate.test_linear import digits


@pytest.mark.parametrize("strength", [1e-3, 1.0])
def test_agrees_with_scikit_learn(strength):
    from sklearn.linear_model import LogisticRegression

    x, y = digits()
    exact = x.astype(np.float64)  # in float32 scikit-learn stops short of the optimum
    theirs = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-6).fit(exact[:1200], y[:1200])
    ours = logistic_probe(x[:1200], y[:1200], x[1200:], y[1200:], classes=10, strengths=(strength,))
    assert abs(float(ours.accuracy) - theirs.score(exact[1200:], y[1200:])) <= 0.003
    scores = x[1200:] @ np.asarray(ours.kernel) + np.asarray(ours.bias)
    theirs = theirs.decision_function(exact[1200:])
    # a shift of all classes changes nothing
    centred = (s - s.mean(1, keepdims=True) for s in (scores, theirs))
    np.testing.assert_allclose(*centred, rtol=0.05, atol=0.05 * np.abs(theirs).max())
    assert np.mean(scores.argmax(1) == y[1200:]) == pytest.approx(float(ours.accuracy), abs=1e-6)


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_agrees_with_scikit_learn_on_other_data(name):
    from sklearn import datasets
    from sklearn.linear_model import LogisticRegression

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = ((x - x.mean(0)) / x.std(0))[order], y[order]
    half = len(x) // 2
    theirs = LogisticRegression(solver="newton-cholesky", tol=1e-8).fit(x[:half], y[:half])
    theirs = theirs.score(x[half:], y[half:])
    arrays = x[:half].astype(np.float32), y[:half], x[half:].astype(np.float32), y[half:]
    ours = logistic_probe(*arrays, classes=int(y.max()) + 1, strengths=(1.0,))
    assert abs(float(ours.accuracy) - theirs) <= 0.003 and theirs > 0.9


def test_rows_that_are_spread_over_devices_give_the_same():
    x, y = digits()
    arrays = x[:301] / 16, y[:301], x[301:400] / 16, y[301:400]
    settings = dict(classes=10, strengths=(1e-2, 1.0))
    spread = logistic_probe(*arrays, **settings)
    whole = logistic_probe(*map(jnp.asarray, arrays), **settings)
    np.testing.assert_allclose(spread.kernel, whole.kernel, atol=2e-3)
    assert float(spread.accuracy) == pytest.approx(float(whole.accuracy), abs=0.011)
    np.testing.assert_allclose(spread.validation, whole.validation, atol=0.04)


def test_held_out_rows_choose_the_strength():
    x, y = digits()
    arrays = x[:300], y[:300], x[300:400], y[300:400]
    found = logistic_probe(
        *arrays, classes=10, strengths=(1e-12, 1e-2)
    )  # the first leaves nothing but the bias
    assert float(found.strength) == pytest.approx(1e-2) and found.validation[0] < 0.5 < found.validation[1]
    alone = logistic_probe(*arrays, classes=10, strengths=(1e-2,))
    assert np.isnan(alone.validation[0]) and float(found.accuracy) == float(alone.accuracy) > 0.8


def test_a_class_that_training_lacks_is_never_predicted():
    x, y = digits()
    found = logistic_probe(x[:200][y[:200] < 9], y[:200][y[:200] < 9], x, y, classes=10, strengths=(1.0,))
    scores = x @ np.asarray(found.kernel) + np.asarray(found.bias)
    assert 9 not in scores.argmax(1) and float(found.accuracy) > 0.7


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(strengths=()), "strengths must hold numbers above 0"),
        (dict(strengths=(0.0, 1.0)), "strengths must hold numbers above 0"),
        (dict(validation=0.0), "expected at least one row held out"),
        (dict(test_labels=np.zeros(3, int)), "test_labels has shape"),
        (dict(train_labels=-np.ones(20, int)), "train_labels are from -1 to -1, expected .* 0 to 1"),
        (dict(test_labels=np.full(20, 2)), "test_labels are from 2 to 2, expected .* 0 to 1"),
    ],
)
def test_wrong_arguments_are_named(change, words):
    x, y = np.ones((20, 3)), np.zeros(20, int)
    arguments = dict(train_features=x, train_labels=y, test_features=x, test_labels=y, classes=2) | change
    with pytest.raises(ValueError, match=words):
        logistic_probe(**arguments)


def test_the_weaker_the_decay_the_lower_the_training_loss():
    x, y = digits()
    losses = []
    for strength in (1e-4, 1e-2, 1.0):
        found = logistic_probe(x[:300], y[:300], x, y, classes=10, strengths=(strength,))
        logits = x[:300] @ np.asarray(found.kernel) + np.asarray(found.bias)
        log_p = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        log_p -= logits.max(1, keepdims=True)
        losses.append(-log_p[np.arange(300), y[:300]].mean())
    assert losses[0] > losses[1] > losses[2]
