"""Training and test images: held-out images, classes matched by name, and whether labels can be probed."""

import hashlib
from dataclasses import replace

import numpy as np

from jssl.data.source import Source

SHARE = 10  # one of this many images is held out
UNKNOWN = -2  # the label of a class that the training images do not have
TRAINING, TESTING = 10, 4  # labelled images that a probe needs at least
GLANCE = 64  # bytes from the middle of an image, which differ between most images


def evenly(rows: int, count: int) -> np.ndarray:
    """Chooses rows that lie evenly among all.

    Args:
        rows: how many there are.
        count: how many are wanted; where there are fewer, all are chosen.
    Returns:
        Their numbers [count], in order.
    Examples:
        >>> evenly(9, 3).tolist()
        [0, 4, 8]
    """
    return np.linspace(0, rows - 1, min(count, rows)).astype(int)


def held_out(labels: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Chooses a stratified tenth of the images: of every class a tenth, drawn by a seed, at least one of two.

    Args:
        labels: [N]; images without a label, -1, are not chosen.
        seed: of the draw.
    Returns:
        [N] booleans, True where held out.
    Examples:
        >>> int(held_out(np.arange(40) % 2).sum()), int(held_out(np.zeros(1)).sum())
        (4, 0)
    """
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels[labels >= 0]):
        rows = rng.permutation(np.flatnonzero(labels == label))
        chosen[rows[: max(round(len(rows) / SHARE), int(len(rows) > 1))]] = True
    return chosen


def balanced(
    labels: np.ndarray, *, share: float = 1.0, per_class: int | None = None, seed: int = 0
) -> np.ndarray:
    """Chooses a share or a number of the images of each class. A larger choice holds all of a smaller one.

    Args:
        labels: [N]; images without one, -1, count as a class of their own, and are left out by `per_class`.
        share: of each class, at least one image.
        per_class: images of each class, in place of a share; all of a class that has fewer.
        seed: of the draw.
    Returns:
        The numbers of the images chosen, in order.
    Examples:
        >>> balanced(np.arange(40) % 2, per_class=2).size, balanced(np.arange(40) % 2, share=0.5).size
        (4, 20)
    """
    chosen = []
    for label in np.unique(labels if per_class is None else labels[labels >= 0]):
        rows = np.random.default_rng((seed, int(label) + 1)).permutation(np.flatnonzero(labels == label))
        chosen.append(rows[: max(1, round(share * len(rows))) if per_class is None else per_class])
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, int)


def subset(source: Source, *, share: float = 1.0, per_class: int | None = None, seed: int = 0) -> Source:
    """Takes a share or a number of the images of each class of a source, see `balanced`.

    Args:
        source: labelled images.
        share, per_class, seed: as `balanced`.
    Returns:
        A `Source`.
    Raises:
        ValueError: where nothing is left.
    """
    rows = balanced(source.labels, share=share, per_class=per_class, seed=seed)
    if not len(rows):
        raise ValueError(f"{source.name}: there are no labels to take images of each class by")
    return source.some(rows)


def why_not_probed(train: np.ndarray, test: np.ndarray) -> str:
    """Returns the reason why labels cannot be probed.

    Args:
        train: [N] labels of the training images, -1 for none.
        test: [M] labels of the test images, numbered alike.
    Returns:
        One line, "" where they can be probed.
    Examples:
        >>> why_not_probed(np.array([0, 1, 0, 1]), np.array([0, 1, 0, 1]))
        'there are 4 labelled training and 4 labelled test images, where 10 and 4 are needed'
    """
    train, test = train[train >= 0], test[test >= 0]
    if not len(train):
        return "there are no labels"
    if not len(test):
        return "there are no labelled test images of the training classes"
    if len(np.unique(train)) < 2:
        return "the training images are of one class"
    if len(train) < TRAINING or len(test) < TESTING:
        return (
            f"there are {len(train)} labelled training and {len(test)} labelled test images, "
            f"where {TRAINING} and {TESTING} are needed"
        )
    return ""


def shared(train: np.ndarray, test: np.ndarray) -> int:
    """Counts the test images that are training images too, byte for byte.

    Args:
        train: [N, ...] images, or features of them.
        test: [M, ...] of the same kind.
    Returns:
        How many of the M there are among the N.
    Examples:
        >>> shared(np.array([[0, 1], [2, 3]]), np.array([[2, 3], [0, 0], [2, 3]]))
        2
    """

    def glance(image):
        row = image.reshape(-1)
        middle = row.size // 2
        return row[middle : middle + GLANCE].tobytes()

    def whole(image):
        return hashlib.blake2b(image.tobytes(), digest_size=16).digest()

    wanted = set(map(glance, test))
    known = {whole(image) for image in train if glance(image) in wanted}
    return sum(whole(image) in known for image in test)


def by_name(test: Source, class_names: tuple[str, ...]) -> tuple[Source, list[str]]:
    """Numbers the classes of test images as the training images' are, by name; images of other classes are
    left out.

    Args:
        test: the test images.
        class_names: the training images' classes.
    Returns:
        (the test images, sentences about what did not match).
    """
    labels, sentences = renumbered(test.labels, test.class_names, class_names)
    return replace(test, labels=labels, class_names=class_names).some(labels != UNKNOWN), sentences


def renumbered(
    labels: np.ndarray, names: tuple[str, ...], class_names: tuple[str, ...]
) -> tuple[np.ndarray, list[str]]:
    """Numbers labels of test images as those of the training images, by the names of their classes.

    Args:
        labels: [N] of the test images, -1 for none.
        names: of their classes.
        class_names: the training images' classes.
    Returns:
        ([N] int32, `UNKNOWN` for classes without training images; sentences about what did not match).
    Examples:
        >>> renumbered(np.array([0, 1, -1]), ("b", "a"), ("a", "b"))[0].tolist()
        [1, 0, -1]
    """
    numbers = {name: number for number, name in reversed(list(enumerate(class_names)))}
    if names == class_names:
        table = np.arange(len(class_names))
    else:
        table = np.array([numbers.get(name, UNKNOWN) for name in names], np.int64)
    found = np.where(labels < 0, -1, np.append(table, -1)[labels]).astype(np.int32)
    sentences, unknown = [], found == UNKNOWN
    if unknown.any():
        others = [names[label] for label in np.unique(labels[unknown])]
        sentences.append(
            f"{unknown.sum():,} test images are left out, of classes that training has not: {_some(others)}"
        )
    missing = [class_names[label] for label in np.setdiff1d(np.arange(len(class_names)), found)]
    if missing and (found >= 0).any() and len(missing) < len(class_names):
        sentences.append(f"there are no test images of {len(missing)} classes: {_some(missing)}")
    return found, sentences


def _some(names):
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
