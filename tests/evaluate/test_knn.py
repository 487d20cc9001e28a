import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.evaluate import knn_accuracy, knn_classify, nearest_neighbours, protocol, score
from jssl.evaluate.protocols.knn import GROUP, _nearest_neighbours, top_k
from tests.objectives.golden_numbers import load


def numpy_knn(train, labels, test, classes, k, temperature):
    """DINO's eval_knn.py, row by row."""
    train, test = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, test))
    scores = np.zeros((len(test), classes))
    for row, similarities in enumerate(test @ train.T):
        for i in np.argsort(-similarities)[:k]:
            scores[row, labels[i]] += np.exp(similarities[i] / temperature)
    return scores


def test_scores_are_those_of_dinos_own_code():
    golden = load("knn_classifier")
    given = golden.in_train_features, golden.in_train_labels, golden.in_test_features
    settings = dict(k=golden.hp_k, temperature=golden.hp_temperature)
    scores = knn_classify(*given, classes=golden.hp_num_classes, **settings)
    np.testing.assert_allclose(scores, golden.out_class_scores, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(scores.argmax(1), golden.out_predictions)
    wanted = np.array(golden.in_test_labels)
    assert 100 * np.mean(scores.argmax(1) == wanted) == pytest.approx(golden.out_top1_percent)


def data(rows=60, queries=23, width=5, classes=4):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, width)), rng.integers(0, classes, rows), rng.normal(size=(queries, width))


@pytest.mark.parametrize("chunk", [1, 7, 23, 256])
@pytest.mark.parametrize("k, temperature", [(1, 0.07), (20, 0.07), (60, 1.0)])
def test_scores_are_dinos_whatever_the_chunk(chunk, k, temperature):
    train, labels, test = data()
    scores = knn_classify(train, labels, test, classes=4, k=k, temperature=temperature, chunk=chunk)
    np.testing.assert_allclose(scores, numpy_knn(train, labels, test, 4, k, temperature), rtol=1e-4)


@pytest.mark.parametrize("block", [1, 7, 20, 59, 60, 100])
def test_the_bank_is_searched_in_blocks(block, monkeypatch):
    train, _, test = data()
    train[31] = train[4]  # as similar: the first comes first
    whole = nearest_neighbours(train, test, k=7)
    monkeypatch.setattr("jssl.evaluate.protocols.knn.BLOCK", block)
    on_devices = nearest_neighbours(jnp.asarray(train), jnp.asarray(test), k=7)
    np.testing.assert_array_equal(on_devices[1], whole[1])
    monkeypatch.setattr("jssl.evaluate.protocols.knn.STREAMED", max(block, 11))
    similarities, rows = nearest_neighbours(train, test, k=7)
    np.testing.assert_array_equal(rows, whole[1])
    np.testing.assert_allclose(similarities, whole[0], rtol=1e-5)


@pytest.mark.parametrize("distinct", [5, 10**6])
def test_the_largest_entries_are_found_by_their_groups(distinct):
    values = np.random.default_rng(0).integers(0, distinct, (7, 9 * GROUP)).astype(np.float32)
    found, columns = top_k(jnp.asarray(values), 4)  # with five values there are ties everywhere
    order = np.argsort(-values, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(columns, order)
    np.testing.assert_array_equal(found, np.take_along_axis(values, order, axis=1))


def test_a_bank_of_many_groups_in_several_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    bank, queries = rng.normal(size=(601, 4)), rng.normal(size=(5, 4))
    bank[500] = bank[77]
    monkeypatch.setattr("jssl.evaluate.protocols.knn.BLOCK", 300)  # three blocks of whole groups for k = 2
    _, rows = nearest_neighbours(jnp.asarray(bank), jnp.asarray(queries), k=2)
    cosines = queries @ (bank / np.linalg.norm(bank, axis=1, keepdims=True)).T
    np.testing.assert_array_equal(rows, np.argsort(-cosines, axis=1, kind="stable")[:, :2])


def test_memory_is_bounded_whatever_the_bank():
    def temporary(rows):
        shapes = (jax.ShapeDtypeStruct((n, 16), jnp.float32) for n in (rows, 512))
        return (
            _nearest_neighbours.lower(*shapes, 20, 256, 1024).compile().memory_analysis().temp_size_in_bytes
        )

    assert temporary(64 * 1024) < 1.5 * temporary(4 * 1024)


def test_lengths_do_not_matter():
    train, labels, test = data()
    scores = knn_classify(train * np.linspace(1, 9, 60)[:, None], labels, 7 * test, classes=4)
    np.testing.assert_allclose(scores, knn_classify(train, labels, test, classes=4), rtol=1e-4)


def test_neighbours_are_sorted_and_a_row_finds_itself():
    train, _, _ = data()
    similarities, rows = nearest_neighbours(train, train[10:15], k=3)
    np.testing.assert_array_equal(rows[:, 0], np.arange(10, 15))
    np.testing.assert_allclose(similarities[:, 0], 1.0, rtol=1e-5)
    assert np.all(np.diff(similarities, axis=1) <= 0)


def test_accuracy_counts_the_right_predictions():
    train, labels, test = data()
    wanted = numpy_knn(train, labels, test, 4, 5, 0.07).argmax(1)
    wanted[:7] = (wanted[:7] + 1) % 4
    accuracy = knn_accuracy(train, labels, test, wanted, classes=4, k=5)
    assert float(accuracy) == pytest.approx(16 / 23)


@pytest.mark.parametrize("temperature", [0.01, 0.001])
def test_a_low_temperature_overflows_nothing(temperature):
    train, labels, test = data()
    train, test = train + 5, test + 5  # cosines near 1, where exp(cosine / temperature) is infinite
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train.astype(float), test.astype(float))]
    nearest = (unit[1] @ unit[0].T - 1) / temperature  # the same votes but for a factor
    order = np.argsort(-nearest, axis=1)[:, :20]
    weights = np.exp(np.take_along_axis(nearest, order, 1))
    expected = np.einsum("mk,mkc->mc", weights, np.eye(4)[labels[order]]).argmax(1)
    settings = dict(classes=4, k=20, temperature=temperature)
    assert float(knn_accuracy(train, labels, test, expected, **settings)) == 1.0
    one = protocol("knn", k=20, temperature=temperature)
    there = dict(
        train_features=train, train_labels=labels, test_features=test, test_labels=expected, classes=4
    )
    assert score([one], **there)["knn_top1"] == 1.0


def test_half_precision_features_are_compared_in_single():
    train, labels, test = data()
    scores = knn_classify(
        jnp.asarray(train, jnp.bfloat16), labels, jnp.asarray(test, jnp.bfloat16), classes=4
    )
    assert scores.dtype == jnp.float32 and np.all(np.isfinite(scores))


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(k=61), "k is 61, expected .* the 60 rows"),
        (dict(k=0), "k is 0"),
        (dict(temperature=0.0), "temperature is 0.0"),
        (dict(train_labels=np.zeros(59, int)), r"train_labels has shape \(59,\)"),
        (dict(train_labels=np.full(60, -1)), "train_labels are from -1 to -1, expected .* 0 to 3"),
        (dict(classes=3), "train_labels are from 0 to 3, expected .* 0 to 2"),
        (dict(test_features=np.zeros((3, 4))), r"test_features has shape \(3, 4\).*D = 5"),
    ],
)
def test_wrong_arguments_are_named(change, words):
    train, labels, test = data()
    arguments = dict(train_features=train, train_labels=labels, test_features=test, classes=4) | change
    with pytest.raises(ValueError, match=words):
        knn_classify(**arguments)


def test_the_nearest_neighbour_votes_alone_and_the_order_of_the_bank_is_nothing():
    train, labels, test = data()
    alone = knn_classify(train, labels, test, classes=4, k=1).argmax(1)
    normal = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, test)]
    np.testing.assert_array_equal(alone, np.asarray(labels)[(normal[1] @ normal[0].T).argmax(1)])
    twins = knn_classify(train, labels, train[20:30], classes=4, k=1).argmax(1)
    np.testing.assert_array_equal(twins, labels[20:30])
    order = np.random.default_rng(0).permutation(len(train))
    scores = [
        knn_classify(x, y, test, classes=4) for x, y in ((train, labels), (train[order], labels[order]))
    ]
    np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-6)
