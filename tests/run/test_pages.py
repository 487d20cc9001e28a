"""A page for each system, made of what the system is."""

import inspect
import re
import subprocess
import sys

import pytest
from jssl.experiments import REGISTRY

from jssl import command, methods
from jssl.run.pages import algorithm, engine, listing, page
from jssl.run.settings.systems import module_of, named


@pytest.mark.parametrize("name", REGISTRY)
def test_a_systems_page_says_what_it_is_and_shows_its_algorithm_and_numbers(name):
    system, text = REGISTRY[name], page(name, REGISTRY[name])
    title, idea, paper, *_ = text.split("\n\n")
    assert title == f"# {system.title}" and f"https://arxiv.org/abs/{system.paper}" in paper
    assert len(re.findall(r"\.(?= [A-Z]|$)", idea)) == 3 and "arXiv" not in idea
    assert f"jssl train {name} --demo" in text.partition("## The algorithm")[0]
    method = algorithm(name)[0]
    last = inspect.getsource(method).splitlines()[-1].strip()
    code = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    assert len(code) == len(algorithm(name)) and any(last in part for part in code)
    for part in code:
        compile(part, name, "exec")
        assert '"""' not in part
    numbers = text.partition("## The paper's numbers")[2]
    assert "The paper" in numbers and f"| `batch` | {named(name)().batch} |" in numbers
    figures = text.partition("## Our demo's figures")[2]
    for pair in (system.knn, system.linear):
        assert pair is None or f"| {pair[0]} | {pair[1]} |" in figures
    assert ("Not measured" in figures) == (system.knn is None and system.linear is None)


def test_an_algorithm_is_the_method_what_it_is_made_of_and_their_losses():
    assert [part.__name__ for part in algorithm("simclr_v2")] == ["simclr_v2", "simclr", "nt_xent"]
    assert algorithm("dino") == [methods.dino, algorithm("esvit")[1]]  # view_distillation; no frame, no sum


def test_other_runs_of_a_systems_file_have_a_column():
    assert "| setting | as published | `boosted` | our demo | source |" in page("dino", REGISTRY["dino"])
    assert f"| `epochs` | 100 | {module_of('dino').boosted.epochs} | 10 |" in page("dino", REGISTRY["dino"])


def test_a_kind_without_a_sentence_is_named():
    with pytest.raises(ValueError, match="no sentence for the kind 'quantum'"):
        engine("quantum")


def test_the_list_prints_a_page_by_name_and_refuses_others(capsys):
    listing(["dino"])
    assert capsys.readouterr().out == page("dino", REGISTRY["dino"]) + "\n"
    for asked, said in (("dyno", "did you mean dino"), ("--all", "or a system's name, got --all")):
        with pytest.raises(SystemExit):
            command.main(["list", asked])
        assert said in capsys.readouterr().err


def test_pages_are_made_where_only_the_sites_packages_are():
    missing = ("grain", "tyro", "matplotlib", "sklearn", "PIL", "tqdm", "tensorboardX", "safetensors")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing}))\n"
        "from jssl.experiments import REGISTRY\n"
        "from jssl.run.pages import page\n"
        "print(sum(page(name, system).startswith('# ') for name, system in REGISTRY.items()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(len(REGISTRY)), done.stderr
