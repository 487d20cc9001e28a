"""Every objective names its paper, and the papers are found again."""

import inspect
import re

import pytest

from jssl import objectives
from jssl.citations import _PAPERS, citation

LOSSES = [name for name, thing in vars(objectives).items() if inspect.isfunction(thing)]
PLUMBING = {"named", "stateless", "value_at", "weighted_sum"}  # of no paper


@pytest.mark.parametrize("name", sorted(set(LOSSES) - PLUMBING))
def test_every_objective_has_its_papers(name):
    text = citation(getattr(objectives, name))
    assert "title = " in text
    for arxiv in re.findall(r"eprint = \{(.*)\}", text):
        assert arxiv in _PAPERS


def test_what_an_objective_is_made_of_is_cited():
    both = objectives.weighted_sum(
        cls=(1.0, objectives.balanced_view_distillation()), moco=(1.0, objectives.queue_contrast(size=8))
    )
    ids = re.findall(r"eprint = \{(.*)\}", citation(both))
    assert {"2104.14294", "2304.07193", "1911.05722"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_an_id_is_a_thing_and_an_unknown_paper_keeps_its_number():
    assert "chen2020simple" in citation("2002.05709")
    assert citation("arXiv:9901.00001").splitlines()[:2] == [
        "@misc{arxiv9901.00001,",
        "  eprint = {9901.00001},",
    ]


def test_nothing_to_cite_is_an_error():
    with pytest.raises(ValueError, match="names a paper"):
        citation(objectives.weighted_sum)


def test_keys_are_distinct():
    keys = [re.match(r"@misc\{(.*),", citation(arxiv)).group(1) for arxiv in _PAPERS]
    assert len(keys) == len(set(keys))
