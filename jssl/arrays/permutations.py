"""Tables of permutations that are far from each other, for puzzles."""

from functools import cache

import numpy as np


@cache
def permutation_table(count: int, *, number: int = 9) -> np.ndarray:
    """Chooses permutations one after another, each the farthest from those chosen before.

    The distance is Hamming's: in how many places two permutations differ. Each row is the permutation whose
    smallest distance to the rows before it is largest; of several, the first in lexicographic order. The
    first row is the identity. So the table is always the same. The authors of jigsaw puzzles maximise the
    mean distance instead, with which some of 100 rows differ in only 2 places.

    Args:
        count: the number of rows.
        number: how many things are permuted, at most 9.
    Returns:
        [count, number] int8, read-only. For `number` 9, 100 rows differ in at least 6 places, and 1,000 rows
        in at least 5.
    Raises:
        ValueError: for more rows than permutations, or more than 9.
    References:
        arXiv:1603.09246, arXiv:1805.00385
    Examples:
        >>> permutation_table(3, number=3).tolist()
        [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    """
    if not 0 < number <= 9:
        raise ValueError(f"number must lie between 1 and 9, got {number}")
    candidates = _permutations(number)
    if not 0 < count <= candidates.shape[1]:
        raise ValueError(
            f"there are {candidates.shape[1]} permutations of {number}, got a table of {count} rows"
        )
    nearest, chosen = np.full(candidates.shape[1], number, np.int8), [0]
    while len(chosen) < count:
        equal = np.sum(candidates == candidates[:, chosen[-1:]], axis=0, dtype=np.int8)
        nearest = np.minimum(nearest, number - equal)
        chosen.append(int(np.argmax(nearest)))
    table = np.ascontiguousarray(candidates[:, chosen].T)
    table.flags.writeable = False
    return table


def least_distance(table: np.ndarray) -> int:
    """Computes the smallest Hamming distance between two rows.

    Args:
        table: [K, N].
    Returns:
        A number of places; N for one row.
    Examples:
        >>> least_distance(permutation_table(3, number=3))
        3
    """
    nearest = [np.min(np.sum(table[i] != table[:i], axis=-1)) for i in range(1, len(table))]
    return int(min(nearest, default=table.shape[1]))


def _permutations(number: int) -> np.ndarray:
    """All permutations as columns [number, number!], in lexicographic order."""
    rows = np.zeros((1, 1), np.int8)
    for last in range(1, number):
        rows = np.concatenate([np.insert(rows, place, last, axis=1) for place in range(last + 1)])
    return np.ascontiguousarray(rows[np.lexsort(rows.T[::-1])].T)
