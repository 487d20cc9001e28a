"""Where a run may lie, and that it goes on with the data that it began with."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jssl import experiments
from jssl.data.catalog import named
from jssl.run.directory.record import Record, check_directory
from jssl.run.plan import plan
from jssl.run.settings.options import Options


def photos(root, classes="ab", each=8):
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(each):
            Image.fromarray(np.full((16, 16, 3), number, np.uint8)).save(root / name / f"{number}.png")
    return root


def settings(root):
    return replace(
        experiments.simclr.demo, data=f"folder:{root}", batch=8, size=16, encoder="resnet10x0.5", steps=3
    )


def test_a_run_does_not_lie_among_its_images(tmp_path):
    root = photos(tmp_path / "photos")
    with pytest.raises(ValueError, match="its figures would be images to train on"):
        plan(settings(root), Options(out=str(root / "run")))
    assert not (root / "run").exists()


def test_a_run_goes_on_with_the_data_that_it_began_with(tmp_path):
    root, out = photos(tmp_path / "photos"), str(tmp_path / "run")
    Record(out, plan(settings(root), Options(out=out)).config).close()
    plan(settings(root), Options(out=out))
    photos(root, "c")
    with pytest.raises(ValueError, match="has 24 images, and had 16 when the run"):
        plan(settings(root), Options(out=out))


@pytest.mark.parametrize("out, words", [("", "--out is empty"), ("~/run", "turns ~ into a folder")])
def test_names_that_a_shell_has_left_as_they_were(out, words):
    with pytest.raises(ValueError, match=words):
        check_directory(out, {})


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for out in (tmp_path / "file" / "run", tmp_path / "link"):
        with pytest.raises(ValueError, match="cannot be made"):
            check_directory(str(out), {})


def test_home_after_a_kind(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert named("folder:~/photos") == "folder:/home/me/photos"
