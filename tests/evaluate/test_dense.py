"""Dense protocols: planted labels are read, and values are those computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from scipy.ndimage import binary_dilation, binary_opening
from sklearn.metrics import confusion_matrix, jaccard_score

from jssl.evaluate import protocol, refusal, score
from jssl.evaluate.measures.boxes import box_iou, boxes_of, detection_precision
from jssl.evaluate.measures.distances import depth_errors, sig_loss
from jssl.evaluate.measures.regions import boundary, boundary_f, class_ious, confusion, jaccard
from jssl.evaluate.protocols.attention_segments import segment_overlaps
from jssl.evaluate.protocols.patches import at_every_pixel, patch_grid
from jssl.evaluate.protocols.segmentation import class_shares
from jssl.sharding import make_mesh

FAST = dict(steps=150, batch=16)


def patterns(images, *, seed=0):
    """Labels of patches [M, 4, 4], of three classes."""
    return np.random.default_rng(seed).integers(0, 3, (images, 4, 4))


def tokens_of(patches):
    """Tokens that say the patches' labels, [M, N, 8]."""
    flat = patches.reshape(len(patches), -1)
    draws = np.random.default_rng(9).normal(size=(*flat.shape, 8))
    return (np.eye(8)[flat] + 0.05 * draws).astype(np.float32)


def segmented(**change):
    train, test = patterns(40), patterns(16, seed=1)
    names = dict(train_tokens=tokens_of(train), train_segmentation=train)
    return names | dict(test_tokens=tokens_of(test), test_segmentation=test) | change


def test_confusion_and_intersections_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(-1, 4, (2, 9, 5)), rng.integers(0, 4, (2, 9, 5))
    counts = confusion(jnp.asarray(predicted), jnp.asarray(labels), classes=5)
    kept = labels >= 0
    np.testing.assert_array_equal(
        counts, confusion_matrix(labels[kept], predicted[kept], labels=np.arange(5))
    )
    ious = class_ious(counts)
    np.testing.assert_allclose(
        ious[:4], jaccard_score(labels[kept], predicted[kept], average=None), rtol=1e-6
    )
    assert np.isnan(ious[4])


@pytest.mark.parametrize("dtype, classes", [(np.uint8, 21), (np.int8, 100), (np.int16, 182)])
def test_pixels_are_counted_whatever_the_width_of_their_labels(dtype, classes):
    labels, predicted = np.random.default_rng(0).integers(0, classes, (2, 40, 40)).astype(dtype)
    counts = confusion(jnp.asarray(predicted), jnp.asarray(labels), classes=classes)
    wanted = confusion_matrix(labels.ravel(), predicted.ravel(), labels=np.arange(classes))
    np.testing.assert_array_equal(counts, wanted)


def test_planted_segments_are_read_and_shuffled_ones_are_not():
    one = protocol("linear_segmentation", **FAST)
    found = score([one], **segmented())
    assert found == {"linear_segmentation_miou": 1.0, "linear_segmentation_pixel_accuracy": 1.0}
    shuffled = np.random.default_rng(3).permutation(segmented()["test_segmentation"].ravel())
    low = score([one], **segmented(test_segmentation=shuffled.reshape(16, 4, 4)))
    assert abs(low["linear_segmentation_pixel_accuracy"] - 1 / 3) < 0.1  # three deviations of 256 pixels
    assert low["linear_segmentation_miou"] < 0.35


def test_pixels_without_a_label_count_nowhere():
    there = segmented()
    hidden = np.zeros((16, 4, 4), bool)
    hidden[:, 0] = True
    wrong = np.where(hidden, (there["test_segmentation"] + 1) % 3, there["test_segmentation"])
    one = protocol("linear_segmentation", **FAST)
    assert score([one], **segmented(test_segmentation=wrong))["linear_segmentation_miou"] < 0.7
    ignored = np.where(hidden, -1, there["test_segmentation"])
    assert score([one], **segmented(test_segmentation=ignored))["linear_segmentation_miou"] == 1.0
    shares = class_shares(jnp.array([[[0, -1], [1, 1]]]), 1, classes=2)
    np.testing.assert_allclose(shares, [[[0.25, 0.5]]])


def test_patches_and_their_labels_may_be_permuted_together():
    order = np.random.default_rng(5).permutation(16)

    def permuted(labels):
        return labels.reshape(len(labels), 16)[:, order].reshape(-1, 4, 4)

    there = segmented()
    change = {name: there[name][:, order] for name in ("train_tokens", "test_tokens")}
    change |= {name: permuted(there[name]) for name in ("train_segmentation", "test_segmentation")}
    one = protocol("linear_segmentation", **FAST)
    same = score([one], **segmented(**change)), score([one], **there)
    assert same[0] == same[1]


def test_patches_lie_as_their_labels_do():
    assert patch_grid(8, (6, 12)) == (2, 4) and patch_grid(144, (48, 48)) == (12, 12)
    maps = at_every_pixel(jnp.arange(4.0).reshape(1, 4, 1), (4, 4))[0, ..., 0]
    np.testing.assert_allclose(maps[0], [0, 0.25, 0.75, 1])
    np.testing.assert_allclose(maps[:, 0], [0, 0.5, 1.5, 2])


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(train_segmentation=None), "it needs dense labels of training images: segmentation"),
        (dict(train_segmentation=np.zeros((40, 4, 4), int)), "at least two classes, they have 1"),
        (dict(train_segmentation=patterns(39)), r"shape \(39, 4, 4\), expected \[40, H, W\]"),
        (dict(train_segmentation=patterns(40) + 0.5), "train_segmentation holds float64, expected integers"),
        (dict(train_segmentation=np.zeros((40, 5, 5), int)), "labels of 5 x 5 pixels do not fit 16 patches"),
        (
            dict(test_segmentation=np.full((16, 4, 4), 7)),
            "test masks have class 7, which no training mask has",
        ),
    ],
)
def test_labels_that_do_not_fit_cost_one_line(change, words):
    with pytest.raises(ValueError, match=words) as error:
        score([protocol("linear_segmentation", **FAST)], **segmented(**change))
    assert "\n" not in str(error.value)


def test_depth_is_told_in_its_own_unit():
    rng = np.random.default_rng(0)
    depth, other = rng.uniform(1, 4, (60, 4, 4)), rng.uniform(1.2, 3.8, (20, 4, 4))

    def part(name, values):
        tokens = np.stack([values.reshape(-1, 16), np.ones((len(values), 16))], -1)
        return {
            f"{name}_tokens": tokens,
            f"{name}_whole_features": np.zeros((len(values), 1)),
            f"{name}_depth": values,
        }

    there = part("train", depth) | part("test", other)
    one = protocol("linear_depth", bins=8, steps=400, batch=32)
    found = score([one], **there)
    assert found["linear_depth_rmse"] < 0.15 and found["linear_depth_delta1"] > 0.98
    blind = score([one], **there | {"test_tokens": there["test_tokens"] * [0, 1] + [2.5, 0]})
    assert blind["linear_depth_rmse"] == pytest.approx(other.std(), rel=0.1)
    uneven = np.where(np.arange(20)[:, None, None] < 10, other, 2 * other)  # twice as deep as it looks
    uneven[0], uneven[10:, 1:], uneven[10:, 0, 1:] = 0, 0, 0  # none at all; one pixel each
    found = score([one], **there | {"test_depth": uneven})  # an image counts as much as any other
    assert found["linear_depth_delta1"] == pytest.approx(9 / 19, abs=0.03)
    with pytest.raises(ValueError, match="no two depths above 0"):
        score([one], **there | {"train_depth": np.ones((60, 4, 4))})
    assert "image: depth" not in (refusal(one, there) or "")


def test_depth_errors_by_hand_and_the_scale_is_forgiven():
    predicted, depth = jnp.array([1.0, 2.0, 8.0, 5.0]), jnp.array([1.0, 4.0, 7.0, 0.0])
    found = {name: float(value) for name, value in depth_errors(predicted, depth).items()}
    expected = dict(rmse=(5 / 3) ** 0.5, abs_rel=(0.5 + 1 / 7) / 3, delta1=2 / 3, delta2=2 / 3, delta3=2 / 3)
    assert found == pytest.approx(expected)
    depth = jnp.linspace(1.0, 5.0, 50)
    assert float(sig_loss(3 * depth, depth)) == pytest.approx(0.15**0.5 * np.log(3), abs=1e-3)
    assert np.isfinite(jax.grad(sig_loss)(depth, depth)).all()
    g = np.log(np.array([1.001, 2.001, 8.001])) - np.log(np.array([1.001, 4.001, 7.001]))
    by_hand = np.sqrt(g.var(ddof=1) + 0.15 * g.mean() ** 2)
    assert float(sig_loss(predicted, jnp.array([1.0, 4.0, 7.0, 0.0]))) == pytest.approx(by_hand, rel=1e-5)


def test_boxes_by_hand():
    objects = np.zeros((1, 4, 8), int)
    objects[0, 1:3, 2:6], objects[0, 3, 7] = 1, 2
    boxes, there = boxes_of(jnp.asarray(objects), count=3)
    np.testing.assert_allclose(boxes[0, :2], [[0.25, 0.25, 0.75, 0.75], [0.75, 0.875, 1, 1]])
    assert there.tolist() == [[True, True, False]]
    a = np.array([[0, 0, 0.5, 0.5], [0.25, 0.25, 0.75, 0.75]])
    np.testing.assert_allclose(box_iou(a, a), [[1, 1 / 7], [1 / 7, 1]])


def test_precision_of_detections_by_hand():
    box, away = np.array([0, 0, 0.5, 0.5]), np.array([0.5, 0.5, 1, 1.0])
    truth = np.stack([np.stack([box, away])] * 2)
    boxes = np.stack([np.stack([box, box, away]), np.stack([away, box, box])])
    scores = np.array([[0.9, 0.8, 0.7], [0.6, -np.inf, -np.inf]])
    there = np.array([[True, True], [True, True]])
    # right, taken already, right, right: precision 1, 1/2, 2/3, 3/4, of four objects; from behind 1, 3/4, 3/4
    assert detection_precision(scores, boxes, truth, there) == pytest.approx((1 + 0.75 + 0.75) / 4)
    with pytest.raises(ValueError, match="no object to detect"):
        detection_precision(scores, boxes, truth, there & False)


def test_planted_centers_are_found():
    rng = np.random.default_rng(0)

    def part(count):
        objects, tokens = np.zeros((count, 8, 8), int), 0.01 * rng.normal(size=(count, 16, 3))
        for i, (row, column, size) in enumerate(rng.integers(0, [4, 4, 2], (count, 3))):
            top, left, half = 2 * row, 2 * column, size + 1
            objects[i, top : top + half, left : left + half] = 1
            tokens[i, 4 * row + column, [0, 1 + size]] = 1
        return tokens, objects

    (train, a), (test, b) = part(100), part(30)
    there = dict(train_tokens=train, train_objects=a, test_tokens=test, test_objects=b)
    one = protocol("detection", steps=400)
    assert score([one], **there)["detection_ap50_proxy"] > 0.95
    assert score([one], **there | {"test_tokens": test[::-1]})["detection_ap50_proxy"] < 0.2
    with pytest.raises(ValueError, match="no training mask has an object"):
        score([one], **there | {"train_objects": 0 * a})


def test_region_and_boundary_by_hand():
    a = np.zeros((8, 8), bool)
    a[2:6, 2:6] = True
    b = np.roll(a, 1, 1)
    assert float(jaccard(jnp.asarray(a), jnp.asarray(b))) == pytest.approx(12 / 20)
    assert float(jaccard(jnp.zeros((8, 8), bool), jnp.zeros((8, 8), bool))) == 1.0
    line = np.asarray(boundary(jnp.asarray(a)))
    expected = np.zeros((8, 8), bool)
    expected[1:6, 1:6] = True
    expected[2:5, 2:5] = False
    np.testing.assert_array_equal(line, expected)
    near = boundary_f(jnp.asarray(b), jnp.asarray(a))  # one pixel apart, within ceil(0.008 * diagonal) = 1
    assert float(near) == 1.0
    apart = np.roll(a, 2, 1)[:, :6]  # two apart, and cut off: the boundaries differ in length
    a = a[:, :6]
    line, other = (np.argwhere(np.asarray(boundary(jnp.asarray(x)))) for x in (apart, a))
    near = np.abs(line[:, None] - other).sum(-1) <= 1
    precision, recall = near.any(1).mean(), near.any(0).mean()
    by_hand = 2 * precision * recall / (precision + recall)
    assert float(boundary_f(jnp.asarray(apart), jnp.asarray(a))) == pytest.approx(by_hand)
    assert precision != recall


def test_regions_and_boundaries_are_those_of_scikit_learn_and_scipy():
    rng = np.random.default_rng(0)
    a, b = (binary_opening(rng.random((2, 96, 128)) < 0.7, np.ones((1, 3, 3))) for _ in range(2))
    theirs = [jaccard_score(one.ravel(), other.ravel()) for one, other in zip(a, b, strict=True)]
    np.testing.assert_allclose(jaccard(jnp.asarray(a), jnp.asarray(b)), theirs, rtol=1e-6)
    radius = int(np.ceil(0.008 * np.hypot(96, 128)))
    rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk = rows**2 + columns**2 <= radius**2  # as DAVIS's `f_measure` dilates
    for one, other in zip(a, b, strict=True):
        lines = [np.asarray(boundary(jnp.asarray(mask))) for mask in (one, other)]
        near = [binary_dilation(line, disk) for line in lines]
        precision, recall = (
            line[wide].sum() / line.sum() for line, wide in zip(lines, near[::-1], strict=True)
        )
        by_scipy = 2 * precision * recall / (precision + recall)
        assert float(boundary_f(jnp.asarray(one), jnp.asarray(other))) == pytest.approx(by_scipy, rel=1e-5)
        assert 0.3 < by_scipy < 1


def test_uniform_and_exact_attention():
    labels = np.zeros((1, 8, 8), int)
    labels[0, :4, :4] = 1  # four patches of sixteen
    exact = np.zeros((1, 2, 16))
    exact[0, 0, 0] = 1.0  # one patch of the object
    exact[0, 1, [0, 1, 4, 5]] = 0.25
    np.testing.assert_allclose(segment_overlaps(exact, labels), [[0.25, 3 / 4]])  # 3 patches hold 75 %
    found = score([protocol("attention_segments", share=1.0)], test_attention=exact, test_segmentation=labels)
    assert found["attention_segments_jaccard"] == 1.0
    assert found["attention_segments_jaccard_mean"] == pytest.approx((1 + 0.25) / 2)
    everywhere = np.full((1, 1, 16), 1 / 16)
    np.testing.assert_allclose(segment_overlaps(everywhere, labels, share=1.0), [[4 / 16]])
    with pytest.raises(ValueError, match="no mask has an object"):
        score([protocol("attention_segments")], test_attention=exact, test_segmentation=0 * labels)
    with pytest.raises(ValueError, match="labels of 7 x 7 pixels do not fit 16 patches"):
        score([protocol("attention_segments")], test_attention=exact, test_segmentation=labels[:, :7, :7])


def test_tokens_on_several_devices_give_the_same():
    sharding = NamedSharding(make_mesh("data=8"), PartitionSpec("data"))
    there = segmented()
    spread = {name: jax.device_put(there[name], sharding) for name in ("train_tokens", "test_tokens")}
    noisy = dict(train_segmentation=patterns(40, seed=4))
    one = protocol("linear_segmentation", **FAST)
    assert score([one], **segmented(**spread, **noisy)) == score([one], **segmented(**noisy))
