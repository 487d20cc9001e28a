"""Search and films: values by hand, and the laws of rankings and of labels carried along."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import auc, precision_recall_curve

from jssl.data.sources import scene_tasks
from jssl.evaluate import protocol, score
from jssl.evaluate.given import given
from jssl.evaluate.measures.descriptors import generalized_mean, whitening
from jssl.evaluate.measures.ranking import average_precision, pair_ranks, precision_at, recall_at_false_alarms
from jssl.evaluate.protocols.propagation import propagate


def bools(text):
    return jnp.array([letter == "+" for letter in text])


def test_average_precision_by_hand():
    assert float(average_precision(bools("+-+"))) == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)
    assert float(average_precision(bools("++--"))) == 1.0
    low = float(average_precision(bools("--++")))
    assert low == pytest.approx(((0 + 1 / 3) / 2 + (1 / 3 + 2 / 4) / 2) / 2)
    orders = [average_precision(bools(text)) for text in ("+--+", "-+-+", "-++-", "+-+-")]
    assert all(float(value) > low for value in orders)
    assert np.isnan(average_precision(bools("---")))


def test_average_precision_is_the_area_that_scikit_learn_finds():
    rng = np.random.default_rng(0)
    for _ in range(5):
        wanted, scores = rng.random(30) < 0.3, rng.permutation(30)
        precision, recall, _ = precision_recall_curve(wanted, scores)
        found = float(average_precision(jnp.asarray(wanted[np.argsort(-scores)])))
        assert found == pytest.approx(auc(recall, precision), rel=1e-5)


def test_embeddings_that_are_no_numbers_find_nothing():
    broken = np.full((9, 4), np.nan, np.float32)
    found = score([protocol("cross_retrieval", ks=(1, 4))], test_embeddings=broken, caption_embeddings=broken)
    assert found["cross_retrieval_image_recall1"] == found["cross_retrieval_caption_recall4"] == 0.0
    assert found["cross_retrieval_image_median_rank"] == 5.0  # as where all are equal
    assert pair_ranks(jnp.eye(3).at[1].set(jnp.nan)).tolist() == [1.0, 2.0, 1.0]


def test_junk_anywhere_changes_nothing():
    plain, (wanted, ignored) = bools("+-+--+"), (bools("-+--+---+"), bools("+--+--+--"))
    # the same ranking with junk before, between and after; what is ignored may even be wanted
    assert float(average_precision(wanted | ignored, ignored)) == pytest.approx(
        float(average_precision(bools("+-+--+")))
    )
    assert float(precision_at(wanted, ignored, k=3)) == pytest.approx(float(precision_at(plain, k=3)))
    assert float(precision_at(plain, k=10)) == 3 / 6  # ten ends where the last wanted one is


def test_levels_ask_for_different_answers():
    features = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    relevance = np.array([[2, 0, 1, -1]])  # hard, other, easy, junk by decreasing cosine
    found = score(
        [protocol("retrieval")],
        query_features=features[:1],
        gallery_features=features[1:],
        relevance=relevance,
    )
    assert found["retrieval_map_easy"] == pytest.approx((0 + 1 / 2) / 2)  # after the one other
    assert found["retrieval_map_hard"] == 1.0
    assert found["retrieval_map_medium"] == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)
    assert found["retrieval_precision10_easy"] == found["retrieval_precision5_easy"] == 1 / 2
    precisions = {name for name in found if name.endswith("medium")} - {"retrieval_map_medium"}
    assert precisions == {f"retrieval_precision{k}_medium" for k in (1, 5, 10)}  # as revisitop reports
    assert (found["retrieval_precision1_easy"], found["retrieval_precision1_hard"]) == (0, 1)


@pytest.mark.parametrize(
    "relevance, words",
    [
        (np.zeros((1, 3), int), r"relevance has shape \(1, 3\), expected \[1, 4\]"),
        (np.array([[0, -1, 0, 0]]), "no query has an answer"),
        (None, "it needs which image answers which query"),
    ],
)
def test_what_does_not_say_who_answers_costs_one_line(relevance, words):
    there = dict(query_features=np.ones((1, 2)), gallery_features=np.ones((4, 2)), relevance=relevance)
    with pytest.raises(ValueError, match=words):
        score([protocol("retrieval")], **there)


def test_pairs_of_image_and_caption():
    images = np.eye(12, dtype=np.float32)
    found = score([protocol("cross_retrieval")], test_embeddings=images, caption_embeddings=images)
    assert found["cross_retrieval_caption_recall1"] == 1.0 and found["cross_retrieval_image_median_rank"] == 1
    swapped = images[[1, 0, *range(2, 12)]]  # two captions belong to each other's image
    found = score([protocol("cross_retrieval")], test_embeddings=images, caption_embeddings=swapped)
    assert found["cross_retrieval_caption_recall1"] == pytest.approx(10 / 12)
    collapsed = score(
        [protocol("cross_retrieval")], test_embeddings=0 * images + 1, caption_embeddings=images
    )
    assert collapsed["cross_retrieval_caption_median_rank"] == 6.5
    assert collapsed["cross_retrieval_caption_recall5"] == 0.0
    np.testing.assert_array_equal(pair_ranks(jnp.array([[0.0, 2, 1], [0, 5, 1], [1, 1, 0]])), [3, 1, 3])


def test_generalised_means_lie_between_mean_and_maximum():
    tokens = np.random.default_rng(0).uniform(0.1, 2, (3, 7, 5)).astype(np.float32)
    np.testing.assert_allclose(generalized_mean(tokens, power=1), tokens.mean(1), rtol=1e-5)
    np.testing.assert_allclose(generalized_mean(tokens, power=400), tokens.max(1), rtol=1e-2)
    by_hand = (tokens.astype(float) ** 4).mean(1) ** 0.25
    np.testing.assert_allclose(generalized_mean(tokens), by_hand, rtol=1e-5)


def test_whitening_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(200, 4)) * [5, 2, 1, 0] @ rng.normal(size=(4, 4))).astype(np.float32)
    mean, matrix = whitening(features)
    white = (features - mean) @ matrix
    covariance = np.asarray(white.T @ white) / len(white)
    np.testing.assert_allclose(np.sort(np.diagonal(covariance)), [0, 1, 1, 1], atol=1e-4)
    theirs = PCA(3, whiten=True, svd_solver="full").fit_transform(features) * (200 / 199) ** 0.5
    np.testing.assert_allclose(np.abs(white[:, :0:-1]), np.abs(theirs), atol=1e-3)


def test_copies_are_found_among_others():
    rng = np.random.default_rng(0)
    gallery, train = rng.normal(size=(40, 6)), rng.normal(size=(100, 6))
    queries = gallery[:10] + 0.05 * rng.normal(size=(10, 6))

    def part(name, rows):
        return {f"{name}_features": rows, f"{name}_tokens": np.abs(rows)[:, None]}

    there = part("whitening", train) | part("copy", queries) | part("original", gallery)
    exact = score([protocol("copies")], **there, copied=np.eye(10, 40, dtype=int))
    assert exact == {"copies_map": 1.0, "copies_recall": 1.0}
    wrong = score([protocol("copies")], **there, copied=np.eye(10, 40, k=11, dtype=int))
    assert wrong["copies_map"] < 0.3 and wrong["copies_recall"] < 0.3
    scores, wanted = jnp.array([0.9, 0.8, 0.7, 0.6, 0.5]), jnp.array([True, False, True, False, True])
    for share, recall in ((0.0, 1 / 3), (0.5, 2 / 3)):  # of two others none, or one, may be above
        assert float(recall_at_false_alarms(scores, wanted, share=share)) == pytest.approx(recall)


def film(shift=0, frames=5, grid=6):
    """Tokens that say which patch of a moving picture lies where, and a mask that moves along."""
    numbers = np.stack([np.roll(np.arange(grid**2).reshape(grid, grid), shift * t, 1) for t in range(frames)])
    mask = np.zeros((grid, grid), int)
    mask[2:4, 1:3], mask[4, 4] = 1, 2
    masks = np.stack([np.roll(mask, shift * t, 1) for t in range(frames)])
    return np.eye(grid**2)[numbers].reshape(frames, -1, grid**2).astype(np.float32), masks


def scored(tokens, masks, **settings):
    films = dict(film_tokens=tokens[None], film_objects=masks[None])
    return score([protocol("propagate", **settings)], **films)


@pytest.mark.parametrize("shift", [0, 1])
def test_labels_follow_what_moves(shift):
    tokens, masks = film(shift)
    # cosines of 1 and 0: the nearest patch alone carries the label
    assert scored(tokens, masks, top=1, temperature=0.01) == dict(
        propagate_jf=1, propagate_j=1, propagate_f=1
    )
    still = scored(*film(0), top=1) if shift == 0 else scored(tokens, film(0)[1], top=1)
    assert still["propagate_j"] == 1.0 if shift == 0 else still["propagate_j"] < 0.5


def test_a_small_neighbourhood_and_the_temperature():
    tokens, masks = film(shift=2)
    found = propagate(jnp.asarray(tokens), jnp.asarray(masks[0]), classes=3, radius=1, top=1)
    assert (np.asarray(found)[0] == masks[1]).mean() < 1  # what moved by two is out of reach
    wide = propagate(jnp.asarray(tokens), jnp.asarray(masks[0]), classes=3, radius=0, top=1)
    np.testing.assert_array_equal(wide, masks[1:])  # 0: as far as the frame is
    alone = propagate(jnp.asarray(tokens), jnp.asarray(masks[0]), classes=3, radius=0.5)
    np.testing.assert_array_equal(alone, masks[[0] * 4])  # less than a patch: labels stay where they are
    hot, cold = (scored(tokens, masks, top=1, temperature=t) for t in (0.1, 0.2))
    assert hot == cold


def test_films_that_do_not_fit_cost_one_line():
    tokens, masks = film()
    for change, words in (
        (dict(masks=masks[:3]), r"its objects \(3, 6, 6\), expected \[T, N, D\]"),
        (dict(masks=0 * masks), "with an object in the first"),
        (dict(masks=masks[:, :5]), "labels of 5 x 6 pixels do not fit 36 patches"),
    ):
        with pytest.raises(ValueError, match=words):
            scored(tokens, **change)


def test_films_may_differ_in_length():
    (long, its), (short, others) = film(1, frames=5), film(0, frames=3)
    found = score([protocol("propagate", top=1)], film_tokens=[long, short], film_objects=[its, others])
    assert found["propagate_j"] == 1.0
    lost = np.random.default_rng(0).normal(size=short.shape).astype(np.float32)
    alone = score([protocol("propagate", top=1)], film_tokens=[lost], film_objects=[others])
    both = dict(film_tokens=[long, lost], film_objects=[np.where(its == 1, 1, 0), others])
    found = score([protocol("propagate", top=1)], **both)  # one object kept, two lost, each a third
    for metric in ("propagate_j", "propagate_f"):
        assert found[metric] == pytest.approx((1 + 2 * alone[metric]) / 3)
    with pytest.raises(ValueError, match="tokens of 2 films, objects of 1"):
        score([protocol("propagate")], film_tokens=[long, short], film_objects=[its])


def test_scenes_make_films_searches_and_copies():
    films = scene_tasks.scene_films(count=2, side=16, frames=3, pace=4)
    assert films["image"].shape == (2, 3, 16, 16, 3) and films["objects"].max() == 2
    moved = (films["objects"][:, 0] != films["objects"][:, 2]).mean()
    assert 0 < moved < 0.5
    assert ((films["objects"] == 0) == (films["segmentation"] == 0)).all()

    search = scene_tasks.same_object_search(queries=4, gallery=60, side=8)
    assert search.relevance.shape == (4, 60) and set(np.unique(search.relevance)) <= {-1, 0, 1, 2}
    copies = scene_tasks.copy_search(queries=8, others=24, side=16)
    pixels = {
        part: dict(features=x.reshape(len(x), -1) / 255.0, tokens=x.reshape(len(x), 64, 12) / 255.0)
        for part, x in (
            ("copy", copies.queries),
            ("original", copies.gallery),
            ("whitening", copies.gallery),
        )
    }
    there = {f"{part}_{name}": x for part, both in pixels.items() for name, x in both.items()}
    found = score([protocol("copies", whiten=False)], **there, copied=copies.relevance)
    assert 0.1 < found["copies_map"] < 1  # they are altered, not replaced
    assert (copies.queries != copies.gallery[:8]).mean() > 0.5


def test_what_is_given_carries_fields_by_name():
    films = scene_tasks.scene_films(count=2, side=8, frames=2)
    there = given("film", lambda x: {"tokens": x.reshape(len(x), 16, 12)}, films["image"], films, batch=4)
    np.testing.assert_allclose(
        there["film_tokens"][1, 1].reshape(8, 8, 3), films["image"][1, 1] / 255, rtol=1e-6
    )
    assert there["film_objects"] is films["objects"] and "film_image" in there
