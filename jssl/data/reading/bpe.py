"""CLIP's byte-pair encoding, with CLIP's own vocabulary file or with merges learned from a corpus."""

import gzip
import html
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from jssl.data.reading.tokenizer import Tokenizer, padded_tokenizer

Merge = tuple[str, str]
CLIP_MERGES = 48_894
END = "</w>"  # of a word
ENDINGS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


def _symbols() -> list[str]:
    """The characters that stand for the bytes 0 to 255: themselves if printable, else those from 256 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


SYMBOLS = _symbols()
ALPHABET = sorted(SYMBOLS)  # in the order of CLIP's ids


def bpe_tokenizer(merges: Sequence[Merge], *, length: int = 77) -> Tokenizer:
    """Makes CLIP's tokenizer of lower-case byte pairs; with CLIP's merges its ids are CLIP's.

    Ids: 256 bytes, 256 bytes that end a word, one for each merge, start, end. CLIP also repairs broken
    Unicode with the library ftfy; this tokenizer does not.

    Args:
        merges: pairs of pieces in the order in which they are joined, from `read_merges` or `learn_merges`.
        length: ids of a text.
    Returns:
        A `Tokenizer`, of 512 + merges + 2 ids.
    References:
        arXiv:2103.00020; openai/CLIP, clip/simple_tokenizer.py
    Examples:
        >>> bpe_tokenizer([("h", "i</w>")], length=5).encode(["Hi", "hi!"]).tolist()
        [[513, 512, 514, 0, 0], [513, 512, 256, 514, 0]]
    """
    pieces = [
        *ALPHABET,
        *(symbol + END for symbol in ALPHABET),
        *(first + second for first, second in merges),
    ]
    index = {piece: number for number, piece in enumerate(pieces)}
    ranks = {(first, second): rank for rank, (first, second) in enumerate(merges)}

    @lru_cache(maxsize=2**16)
    def ids_of(word: str) -> tuple[int, ...]:
        return tuple(index[piece] for piece in _joined(_letters(word), ranks))

    def ids(text: str) -> list[int]:
        return [number for word in words(text) for number in ids_of(word)]

    return padded_tokenizer(ids, len(pieces), length)


def read_merges(path: str | Path, *, most: int = CLIP_MERGES) -> list[Merge]:
    """Reads a file of merges, a pair a line after one that is skipped: CLIP's `bpe_simple_vocab_16e6.txt.gz`.

    Args:
        path: of the file, perhaps compressed as .gz.
        most: the largest number of merges read; CLIP reads 48,894 of those in its file.
    Returns:
        The merges, in order.
    Raises:
        ValueError: for a line that is no pair.
    """
    path = Path(path)
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
    with opened as file:
        lines = file.read().split("\n")[1 : most + 1]
    pairs = [line.split() for line in lines if line.strip()]
    for number, pair in enumerate(pairs, start=2):
        if len(pair) != 2:
            raise ValueError(f"{path}, line {number}: expected two pieces of a word, got {' '.join(pair)!r}")
    return [(first, second) for first, second in pairs]


def learn_merges(corpus: Iterable[str], count: int) -> list[Merge]:
    """Learns merges from texts: the most frequent pair of neighbouring pieces is joined, again and again.

    Args:
        corpus: texts, such as the captions to train on.
        count: merges at most; fewer where every word is in one piece.
    Returns:
        The merges, in order.
    References:
        arXiv:1508.07909
    Examples:
        >>> learn_merges(["low low lower"], 2)
        [('l', 'o'), ('lo', 'w</w>')]
    """
    found = Counter(word for text in corpus for word in words(text))
    split = {word: _letters(word) for word in found}
    merges: list[Merge] = []
    while len(merges) < count:
        pairs: Counter[Merge] = Counter()
        for word, pieces in split.items():
            for pair in pairwise(pieces):
                pairs[pair] += found[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = {word: _merged(pieces, best) for word, pieces in split.items()}
    return merges


def words(text: str) -> list[str]:
    """Splits a text as CLIP does: lower case; runs of letters, digits, runs of other signs, endings like 's.

    Examples:
        >>> words("The dog's 12  bones &amp; more!!")
        ['the', 'dog', "'s", '1', '2', 'bones', '&', 'more', '!!']
    """
    text = " ".join(html.unescape(html.unescape(text)).split()).lower()
    found, start = [], 0
    while start < len(text):
        ending = next((one for one in ENDINGS if text.startswith(one, start)), None)
        if ending:
            end = start + len(ending)
        else:
            kind, end = _kind(text[start]), start + 1
            while kind in "LO" and end < len(text) and _kind(text[end]) == kind:
                end += 1
        if ending or kind != " ":
            found.append(text[start:end])
        start = end
    return found


def _kind(character: str) -> str:
    """Letter, number, space, or other."""
    if character.isspace():
        return " "
    kind = unicodedata.category(character)[0]
    return kind if kind in "LN" else "O"


def _letters(word: str) -> tuple[str, ...]:
    """A word's bytes, the last one marked."""
    letters = [SYMBOLS[byte] for byte in word.encode("utf-8")]
    return (*letters[:-1], letters[-1] + END)


def _joined(pieces: tuple[str, ...], ranks: dict[Merge, int]) -> tuple[str, ...]:
    """Pieces after all merges, the earliest first."""
    while len(pieces) > 1:
        best = min(pairwise(pieces), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        pieces = _merged(pieces, best)
    return pieces


def _merged(pieces: tuple[str, ...], pair: Merge) -> tuple[str, ...]:
    """Pieces after one merge, wherever it fits from the left."""
    merged, place = [], 0
    while place < len(pieces):
        fits = pieces[place : place + 2] == pair
        merged.append("".join(pair) if fits else pieces[place])
        place += 2 if fits else 1
    return tuple(merged)
