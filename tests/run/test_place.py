"""Where a run may lie, and that it goes on with the data that it began with."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jssl import experiments
from jssl.data.catalog import named
from jssl.run.before import MARKS, check_data
from jssl.run.data.gather import gather
from jssl.run.directory.record import Record, check_directory
from jssl.run.plan import info_of, plan
from jssl.run.settings.options import Options
from tests.run import tiny


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
    config = plan(settings(root), Options(out=out)).config
    assert set(config[MARKS]) == {"names of classes", "names of images", "labels"}
    Record(out, config).close()
    plan(settings(root), Options(out=out))
    photos(root, "c")
    with pytest.raises(ValueError, match="has 24 images, and had 16 when the run"):
        plan(settings(root), Options(out=out))


def resumed(data, before):
    """What a run says of its data, where one that said `before` goes on with it."""
    found = gather(data)
    check_data("run", before, found, info_of(found))
    return {"data": info_of(found)._asdict(), MARKS: dict(found.marks)}


def renamed_class(root):
    (root / "b").rename(root / "c")


def renamed_image(root):
    (root / "a" / "0.png").rename(root / "a" / "00.png")


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("change, word", [(renamed_class, "classes"), (renamed_image, "images")])
def test_files_of_other_names_are_not_gone_on_with(change, word, fits, tmp_path, monkeypatch):
    monkeypatch.setattr("jssl.run.data.gather.fits_in_memory", lambda records, canvas: fits)
    for place in ("here", "elsewhere"):
        photos(tmp_path / place / "photos")
    monkeypatch.chdir(tmp_path / "here")
    before = resumed("folder:photos", None)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resumed("folder:photos", before) == before
    change(tmp_path / "elsewhere" / "photos")
    with pytest.raises(ValueError, match=f"folder:photos: its names of {word} are others than when the run"):
        resumed("folder:photos", before)
    resumed("folder:photos", {"data": before["data"]})  # of an earlier version, which kept no marks


def test_other_arrays_of_the_same_number_are_not_gone_on_with():
    source = tiny.colored()
    before = resumed(source, None)
    assert resumed(tiny.colored(), before) == before
    changes = {
        "names of classes": dict(class_names=("a", "b", "c")),
        "labels": dict(labels=source.labels[::-1]),
        "images": dict(images=255 - source.images),
    }
    for word, change in changes.items():
        with pytest.raises(ValueError, match=f"--data colored: its {word} are others than when the run in"):
            resumed(replace(source, **change), before)


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
