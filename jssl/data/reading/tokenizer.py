"""Tokenizers that need no download: bytes, or the words of a given corpus. Static length, deterministic."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np


class Tokenizer(NamedTuple):
    """Turns texts into ids.

    Args:
        encode: texts -> int32 [B, length]: start, the text, end, then padding 0; a long text is cut, its end
            kept.
        vocabulary: number of ids; the end's is the largest, and CLIP's transformer reads the text there.
        length: ids of a text.
    """

    encode: Callable[[Sequence[str]], np.ndarray]
    vocabulary: int
    length: int


def byte_tokenizer(*, length: int = 77) -> Tokenizer:
    """Makes a tokenizer of one id per byte of UTF-8, 1 to 255; start 256, end 257.

    Args:
        length: ids of a text, start and end included.
    Returns:
        A `Tokenizer` of 258 ids.
    Examples:
        >>> byte_tokenizer(length=6).encode(["hi", "hello"]).tolist()
        [[256, 104, 105, 257, 0, 0], [256, 104, 101, 108, 108, 257]]
    """
    return padded_tokenizer(lambda text: text.replace("\0", " ").encode("utf-8"), 256, length)


def word_tokenizer(corpus: Iterable[str], *, length: int = 32) -> Tokenizer:
    """Makes a tokenizer of one id per word of a corpus.

    Ids of lower-case words and punctuation marks count from 2, in alphabetical order; 1 is for unknown words.

    Args:
        corpus: texts, such as the captions to train on.
        length: ids of a text, start and end included.
    Returns:
        A `Tokenizer`.
    Raises:
        ValueError: for a corpus without words.
    Examples:
        >>> word_tokenizer(["a red circle", "a blue square"], length=6).encode(["A blue circle!"]).tolist()
        [[7, 2, 3, 4, 1, 8]]
    """
    words = sorted({word for text in corpus for word in _words(text)})
    if not words:
        raise ValueError(
            "word_tokenizer: the corpus holds no words; give it texts such as the captions to train on"
        )
    index = {word: i for i, word in enumerate(words, start=2)}
    return padded_tokenizer(
        lambda text: [index.get(word, 1) for word in _words(text)], len(words) + 2, length
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def padded_tokenizer(ids: Callable[[str], Iterable[int]], start: int, length: int) -> Tokenizer:
    """Makes a tokenizer of the ids of a text: start, the text's ids, end, padding.

    Args:
        ids: text -> its ids, all below `start`.
        start: the id that begins a text; the next one ends it.
        length: ids of a text, start and end included.
    Returns:
        A `Tokenizer`.
    Raises:
        ValueError: for a length below 2.
    """
    if length < 2:
        raise ValueError(f"length must hold at least start and end, 2 tokens, got {length}")

    def encode(texts: Sequence[str]) -> np.ndarray:
        if isinstance(texts, str):
            raise TypeError("texts must be a sequence of strings, got one string; wrap it in a list")
        tokens = np.zeros((len(texts), length), np.int32)
        for row, text in zip(tokens, texts, strict=True):
            line = [start, *list(ids(text))[: length - 2], start + 1]
            row[: len(line)] = line
        return tokens

    return Tokenizer(encode, start + 2, length)
