"""Films, searches, copies and captions: of scenes, and of folders that are laid out for them."""

import numpy as np
import pytest

from jssl.data.tasks import captions, copy_task, densely_labelled, films, same_search
from tests.data.folders import a_film, a_search, picture


def test_a_folder_of_films(tmp_path):
    a_film(tmp_path, "b", 3)
    a_film(tmp_path, "a", 2)
    found = films(f"folder:{tmp_path}", side=8)
    assert [one.shape for one in found.objects] == [(2, 8, 8), (3, 8, 8)] and len(found.frames) == 5
    assert found.frames.describe(4).endswith("b/2.jpg")
    assert np.argwhere(found.objects[1][2]).tolist() == [[2, 3]] and found.objects[1][2].max() == 2
    (tmp_path / "objects" / "a" / "1.png").unlink()
    with pytest.raises(ValueError, match="a/1.png: the frame's mask cannot be read: No such file"):
        films(str(tmp_path), side=8)
    picture(tmp_path / "objects" / "a" / "1.png")
    with pytest.raises(ValueError, match=r"holds numbers of objects, this is a picture \(RGB\)"):
        films(str(tmp_path), side=8)


def test_a_folder_to_search_and_one_of_copies(tmp_path):
    data = a_search(tmp_path, {"1.jpg": {"easy": ["2.jpg"], "hard": ["0.jpg"]}, "0.jpg": {"junk": ["1.jpg"]}})
    found = same_search(data, side=8)
    assert found.relevance.tolist() == [[0, -1, 0], [2, 0, 1]] and len(found.gallery) == 3
    with pytest.raises(ValueError, match="put them into .*/train"):
        copy_task(data, side=8)
    picture(tmp_path / "train" / "x.jpg")
    copies, others = copy_task(data, side=8)
    assert copies.relevance.tolist() == found.relevance.tolist() and len(others) == 1


@pytest.mark.parametrize(
    "answers, words",
    [
        ({"7.jpg": {"easy": []}}, "has '7.jpg': expected an image of queries, with easy, hard, junk"),
        ({"0.jpg": {"fine": []}}, "has '0.jpg': expected an image of queries, with easy, hard, junk"),
        ({"0.jpg": {"easy": ["9.jpg"]}}, "names '9.jpg', which is no image of gallery"),
        ([], "answers.json cannot be read: it is no object"),
    ],
)
def test_answers_that_name_nothing_cost_one_line(tmp_path, answers, words):
    with pytest.raises(ValueError, match=words) as error:
        same_search(a_search(tmp_path, answers), side=8)
    assert "\n" not in str(error.value)


def test_captions_of_a_folder_go_by_the_images_path(tmp_path):
    assert captions(str(tmp_path)) is None
    (tmp_path / "captions.json").write_text('{"test/cat/a.jpg": "a cat"}')
    assert captions(str(tmp_path)) == {f"{tmp_path}/test/cat/a.jpg": "a cat"}
    (tmp_path / "captions.json").write_text('{"test/cat/a.jpg": 3}')
    with pytest.raises(ValueError, match="captions.json has no sentence for 'test/cat/a.jpg'"):
        captions(str(tmp_path))


def test_labels_of_pixels_in_a_file(tmp_path):
    arrays = dict(images=np.zeros((3, 8, 8, 3), np.uint8), test_images=np.zeros((2, 8, 8, 3), np.uint8))
    masks = dict(segmentation=np.ones((3, 8, 8), int), test_segmentation=np.zeros((2, 8, 8), int))
    np.savez(tmp_path / "a.npz", **arrays, **masks)
    test = densely_labelled(str(tmp_path / "a.npz"), split="test")
    assert set(test.extras) == {"segmentation"} and test.extras["segmentation"].shape == (2, 8, 8)
    voc = np.array([0, 20, 255], np.uint8)[:, None, None] * np.ones((3, 8, 8), np.uint8)
    np.savez(tmp_path / "voc.npz", **arrays, segmentation=voc)
    assert densely_labelled(str(tmp_path / "voc.npz")).extras["segmentation"][:, 0, 0].tolist() == [0, 20, -1]
    np.savez(tmp_path / "b.npz", **arrays)
    assert densely_labelled(str(tmp_path / "b.npz")) is None
    for shape, words in (
        ((3, 4, 8), r"expected \[N, 8, 8\], as the images"),
        ((2, 8, 8), "one entry for each"),
    ):
        np.savez(tmp_path / "c.npz", **arrays, segmentation=np.zeros(shape))
        with pytest.raises(ValueError, match=words):
            densely_labelled(str(tmp_path / "c.npz"))


def test_scenes_have_all_of_it_and_other_data_none(monkeypatch):
    found = films("scenes:color", side=8)
    assert len(found.frames) == 32 * 8 and found.objects[0].shape == (8, 8, 8)
    assert same_search("scenes", side=8).relevance.shape == (64, 512)
    copies, others = copy_task("scenes", side=8)
    assert len(copies.gallery) == 512 and len(others) == 1024
    said = captions("scenes:color")
    assert len(said) == 1024 and said["scenes:color[3]"].startswith("a ")
    assert not any((films("digits", side=8), same_search("digits", side=8), captions("digits")))
