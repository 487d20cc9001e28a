"""Byte pairs: the ids are those of CLIP's tokenizer, by hand and from a file."""

import gzip

import pytest

from jssl.data import bpe_tokenizer, learn_merges, read_merges

CORPUS = ["a large red circle on the left", "a small red square on the right", "a red circle"]


def test_ids_are_bytes_bytes_that_end_a_word_merges_start_and_end():
    merges = [("l", "o"), ("lo", "w</w>")]
    ids = bpe_tokenizer(merges, length=8).encode(["low lo", "\u00e9!", ""])
    low, o, start = 512 + 1, 256 + ord("o") - 33, 512 + 2
    # "lo" at a word's end holds "o</w>", which no merge joins; é is the two bytes C3 and A9
    # (161..172 follow 33..126)
    assert ids[0].tolist() == [start, low, ord("l") - 33, o, start + 1, 0, 0, 0]
    c3, a9 = 94 + 12 + 0xC3 - 174, 256 + 94 + 0xA9 - 161
    assert ids[1].tolist() == [start, c3, a9, 256, start + 1, 0, 0, 0]
    assert ids[2].tolist() == [start, start + 1] + 6 * [0]
    assert (ids.argmax(1) == [4, 4, 1]).all()  # the end is the largest id


def test_the_earliest_merge_comes_first_and_fits_from_the_left():
    merges = [("a", "a"), ("aa", "a</w>")]
    assert bpe_tokenizer(merges, length=6).encode(["aaa", "aaaa"])[:, 1:-1].tolist() == [
        [513, 515, 0, 0],
        [512, 64, 256 + 64, 515],
    ]


def test_a_long_text_is_cut_and_its_end_kept():
    tokenizer = bpe_tokenizer([], length=4)
    assert tokenizer.encode(["abcdef"])[0].tolist() == [512, ord("a") - 33, ord("b") - 33, 513]
    assert tokenizer.vocabulary == 514


def test_a_file_of_clips_form_is_read(tmp_path):
    merges = learn_merges(CORPUS, 30)
    for name, opened in (("merges.txt", open), ("merges.txt.gz", gzip.open)):
        with opened(tmp_path / name, "wt", encoding="utf-8") as file:
            file.write("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n")
        assert read_merges(tmp_path / name) == merges
        assert read_merges(tmp_path / name, most=3) == merges[:3]
    (tmp_path / "wrong.txt").write_text("#version\na b\nabc\n")
    with pytest.raises(ValueError, match="line 3: expected two pieces of a word, got 'abc'"):
        read_merges(tmp_path / "wrong.txt")


def test_what_is_learned_makes_words_of_the_corpus_one_piece():
    tokenizer = bpe_tokenizer(learn_merges(CORPUS, 1000), length=9)
    ids = tokenizer.encode(CORPUS)
    assert (ids[0] > 0).all() and ids[2].tolist()[4] == tokenizer.vocabulary - 1
    assert len(learn_merges(CORPUS, 1000)) < 60  # until every word is in one piece
