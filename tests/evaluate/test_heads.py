import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl.evaluate import protocol
from jssl.evaluate.protocols import heads as module
from jssl.evaluate.protocols.heads import train_heads
from jssl.models import linear_head

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 6)).astype(np.float32), RNG.integers(0, 3, 40)


def trained(x=X, y=Y, **settings):
    usual = dict(optimizer=optax.sgd(0.5, momentum=0.9), steps=7, batch=16, rates=(1.0, 0.1))
    return train_heads(linear_head(3), x, y, **usual | settings)


def kernel(heads, number=0):
    return np.asarray(heads.params["layers_0"]["kernel"][number])


def test_a_step_is_that_of_the_formula():
    before, after = (trained(steps=1, batch=40, rates=(rate,)) for rate in (0.0, 1.0))
    logits = X @ kernel(before)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gradient = X.T @ (p - np.eye(3)[Y]) / 40
    np.testing.assert_allclose(kernel(after), kernel(before) - 0.5 * gradient, atol=1e-5)
    assert np.abs(kernel(before)).max() < 0.05  # drawn with a deviation of 0.01


def test_heads_do_not_meet_and_parts_do_not_show(monkeypatch):
    together = trained()
    np.testing.assert_allclose(kernel(together), kernel(trained(rates=(1.0,))), atol=1e-6)
    monkeypatch.setattr(module, "PART", 2 * 16 * 6)  # two steps at a time
    np.testing.assert_allclose(kernel(together), kernel(trained()), atol=1e-6)
    assert np.abs(kernel(together) - kernel(trained(seed=1))).max() > 1e-3


def test_a_head_reads_its_own_columns():
    columns = np.array([[True] * 3 + [False] * 3, [True] * 6])
    both = trained(columns=columns)
    assert not kernel(both)[3:].any() and kernel(both)[:3].any() and kernel(both, 1)[3:].any()
    zeroed = trained(np.where(columns[0], X, 0), rates=(1.0,))
    np.testing.assert_allclose(kernel(both)[:3], kernel(zeroed)[:3], atol=1e-6)


def test_a_head_that_diverges_has_no_accuracy():
    found = trained(rates=(1.0, jnp.inf)).top1(X, Y)
    assert found[0] > 0.4 and found[1] == 0.0


def test_an_epoch_sees_every_row_once_but_for_the_last_partial_batch():
    (part,) = module._parts(10, steps=6, batch=3, most=99, seed=0)
    assert part.shape == (6, 3) and all(len(np.unique(epoch)) == 9 for epoch in (part[:3], part[3:]))
    sizes = [len(part) for part in module._parts(10, steps=7, batch=3, most=3, seed=0)]
    assert sizes == [3, 3, 1]


def layers(x):
    """Class tokens of two blocks, of which the last says something, and a mean that says nothing."""
    return np.stack([0 * x, x, 0 * x], axis=1)


def test_dinos_probe_reads_the_last_blocks_and_dinov2s_finds_the_best_head():
    y = X[:, 0] > 0
    given = dict(train_labels=y * 1, test_labels=y * 1, classes=2)
    arrays = dict(train_layers=layers(X), test_layers=layers(X))
    dino = protocol("linear_dino", blocks=1, learning_rate=1.0, epochs=30).run(**arrays, **given)
    first = {name: x[:, [1, 0, 2]] for name, x in arrays.items()}  # what says something comes earlier
    blind = protocol("linear_dino", blocks=1, learning_rate=1.0, epochs=30).run(**first, **given)
    assert dino["top1"] > 0.9 > 0.7 > blind["top1"]
    grid = protocol("linear_dinov2", learning_rates=(1e-9, 1.0), blocks=(1, 2), steps=30, validation=0.3)
    found = grid.run(**first, **given)
    assert found["blocks"] == 2 and found["rate"] == 1.0 and found["top1"] > 0.9


def test_maes_probe_sees_no_scale_and_no_shift_of_a_feature():
    labels = X[:, :3].argmax(1)
    given = dict(train_labels=labels, test_labels=labels, classes=3)
    moved = X * np.array([0.1, 1, 5, 30, 1, 1e3], np.float32) + np.arange(6, dtype=np.float32)
    one = protocol("linear_mae", learning_rate=30.0, epochs=200, warmup=5)
    plain, scaled = (one.run(train_features=x, test_features=x, **given)["top1"] for x in (X, moved))
    assert plain == pytest.approx(scaled, abs=0.03) and plain > 0.8 and one.standardises
    bare = protocol("linear_moco", learning_rate=30.0, epochs=200)  # features as they are
    plain, scaled = (bare.run(train_features=x, test_features=x, **given)["top1"] for x in (X, moved))
    assert plain > 0.8 > scaled + 0.2


@pytest.mark.parametrize(
    "change, words", [(dict(steps=0), "steps is 0"), (dict(y=Y[:5]), "40 rows of features and 5 labels")]
)
def test_wrong_arguments_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        trained(**change)
