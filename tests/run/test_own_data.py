"""Data that is handed over as an object: what it is taken for, and what a run makes of it."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from jssl import run
from jssl.data import from_arrays, open_records
from jssl.data.reading.loader import loader
from jssl.data.reading.records import read
from jssl.run.data.gather import gather
from jssl.run.data.own_data import Numbered, Passing, as_pixels, opened
from jssl.run.data.supply import Stream
from jssl.sharding import make_mesh
from tests.run import tiny

IMAGES, LABELS = tiny.colored().images, tiny.colored().labels


class Samples:
    """As a torch data set: floats with the channels first, and a label."""

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, number):
        return np.moveaxis(IMAGES[number], -1, 0).astype(np.float32) / 255, int(LABELS[number])


class Repeated(Samples):
    """As a data set of Grain's after `repeat()`."""

    def __len__(self):
        return sys.maxsize


class Loader:
    """As a torch loader: batches of such samples, with a length or without, and a shorter last one."""

    def __init__(self, batch=8):
        self.batch, self.begun = batch, 0

    def __iter__(self):
        self.begun += 1
        for first in range(0, len(IMAGES), self.batch):
            some = slice(first, first + self.batch)
            yield np.moveaxis(IMAGES[some], -1, 1), LABELS[some]


class Counted(Loader):
    def __len__(self):
        return -(-len(IMAGES) // self.batch)


class Once(Counted):
    """An iterator of batches that says how many there are."""

    def __init__(self):
        super().__init__()
        self.rest = super().__iter__()

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.rest)


@pytest.mark.parametrize(
    "data",
    [Samples(), Counted(7), Once(), [{"image": x, "label": y} for x, y in zip(IMAGES, LABELS, strict=True)]],
)
def test_what_ends_and_fits_is_read_into_memory_and_probed(data):
    found = gather(data)
    images = np.concatenate([found.train.images, found.test.images])
    assert found.records is None and found.passing is None and found.held_out
    assert sorted(map(bytes, images)) == sorted(map(bytes, IMAGES))
    assert found.train.class_names == ("0", "1", "2") and len(found) == len(found.train)


def test_a_pillow_image_is_what_it_shows():
    colors = Image.fromarray(IMAGES[0])
    turned = Image.open(io.BytesIO(png(IMAGES[0][:3], orientation=6)))
    pictures = [colors, colors.quantize(256), colors.convert("RGBA"), colors.convert("1"), turned]
    records = Numbered(list(zip(pictures, LABELS, strict=False)))
    for number, picture in enumerate(pictures[:-1]):
        seen, numbers = read(records, number, canvas=64)
        np.testing.assert_array_equal(seen, picture.convert("RGB"))
        assert numbers["label"] == LABELS[number]
    np.testing.assert_array_equal(read(records, 4, canvas=64)[0], np.rot90(IMAGES[0][:3], -1))


def png(pixels, *, orientation):
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    return file.getvalue()


def test_what_else_samples_have_goes_into_no_batch():
    many = [{"image": x, "label": 1, "boxes": np.ones((i, 4))} for i, x in enumerate(IMAGES)]
    assert next(loader(Numbered(many), batch=8, canvas=8)).keys() == {"image", "image_size", "label", "index"}


def test_a_pair_is_trained_and_tested_on():
    found = gather((Samples(), Counted()))
    assert len(found.train) == len(found.test) == len(IMAGES) and not found.held_out


def fitting(count):
    """Memory for so many images."""
    return lambda records, canvas: len(records) <= count


@pytest.mark.parametrize("few, many", [("train", "test"), ("test", "train")])
def test_of_a_pair_one_part_may_be_too_large_for_memory(few, many, monkeypatch):
    monkeypatch.setattr("jssl.run.data.gather.fits_in_memory", fitting(30))
    held = list(zip(IMAGES, LABELS, strict=True))
    small, source = held[:24], from_arrays(IMAGES[:24], LABELS[:24])
    for part in (small, source):
        data = {few: part, many: held}
        found = gather((data["train"], data["test"]))
        assert (found.records is None) == (few == "train") and len(found) == len(data["train"])
        assert (len(found.source), len(found.test)) == (len(data["train"]), len(data["test"]))
        np.testing.assert_array_equal(found.test.labels, [label for _, label in held][: len(data["test"])])
    with pytest.raises(ValueError, match="may be batches only where they end and fit in memory"):
        gather((small, Loader()))


@pytest.mark.parametrize("room", [9, 99])
def test_samples_by_number_can_be_chosen_by_a_file_of_curate(room, tmp_path, monkeypatch):
    monkeypatch.setattr("jssl.run.data.gather.fits_in_memory", fitting(room))
    np.savez(tmp_path / "kept.npz", names=[f"Samples[{number}]" for number in range(0, 48, 2)])
    found = gather((Samples(), Samples()), only=str(tmp_path / "kept.npz"))
    assert len(found) == 24 and found.source.name == "Samples"
    np.testing.assert_array_equal(found.source.labels, LABELS[::2])


@pytest.mark.parametrize("fits", [True, False])
def test_records_of_folders_keep_the_names_of_their_classes_and_images(fits, tmp_path, monkeypatch):
    monkeypatch.setattr("jssl.run.data.gather.fits_in_memory", lambda records, canvas: fits)
    for number in range(40):  # a class that only the training images have
        for folder in ("train", *(["test"] if number % 4 else [])):
            place = tmp_path / folder / "abcd"[number % 4]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(IMAGES[number]).save(place / f"{number}.png")
    train, test = (open_records(f"folder:{tmp_path / split}") for split in ("train", "test"))
    found = gather((train, test))
    assert (found.records is None) == fits and found.test.class_names == ("a", "b", "c", "d")
    assert sorted(found.test.labels) == [1] * 10 + [2] * 10 + [3] * 10
    assert len(gather(train, per_class=3)) == 12 and gather(train).held_out
    assert Numbered(train).describe(0) == str(tmp_path / "train" / "a" / "0.png")


def labelled(labels):
    return list(zip(IMAGES, labels, strict=True))


@pytest.mark.parametrize(
    "labels, read",
    [
        (LABELS.astype(np.float32), LABELS),
        (LABELS[:, None].astype(np.uint8), LABELS),
        (LABELS == 1, LABELS == 1),
        ([None] * len(LABELS), LABELS * 0 - 1),
    ],
)
def test_labels_are_numbers_of_classes_whatever_their_type(labels, read):
    for data in (labelled(labels), [(IMAGES, None if labels[0] is None else np.asarray(labels))]):
        np.testing.assert_array_equal(gather((data, data)).train.labels, read)


@pytest.mark.parametrize(
    "labels, got",
    [
        (LABELS / 2, "float"),
        (LABELS * np.nan, "float"),
        (np.eye(3)[LABELS], "float64 of shape"),
        (np.array(list("abc"))[LABELS], "<U1 of shape"),
        (LABELS.astype(np.int64) + 2**31, "at most 2,147,483,647"),
    ],
)
def test_labels_that_are_no_numbers_of_classes_are_refused(labels, got):
    for data in (labelled(labels), [(IMAGES, labels)]):
        with pytest.raises(
            ValueError, match=r"list: (a label must be one integer .* got|labels must be) " + got
        ):
            gather(data)


def test_batches_without_an_end_are_taken_as_they_come_and_passed_over_on_resuming(tmp_path):
    loader = Loader()
    settings = dict(method="center", size=8, mesh="data=1", eval_every=6, checkpoint_every=6)
    first = run(tiny.Tiny, data=loader, steps=6, out=str(tmp_path / "run"), **settings)
    assert first.table == {} and int(first.state.step) == 6
    longer = run(tiny.Tiny, data=loader, steps=12, out=str(tmp_path / "run"), **settings)
    assert int(longer.state.step) == 12
    passing = opened(loader)
    assert isinstance(passing, Passing) and passing.size == 8 and passing.images == 0
    (sixth, seventh), epoch = (next(passing.at(step))["image"] for step in (5, 6)), len(IMAGES) // 8
    np.testing.assert_array_equal(sixth, IMAGES[40:48])
    np.testing.assert_array_equal(seventh, IMAGES[:8])
    assert epoch == 6
    np.testing.assert_array_equal(next(passing.at(6))["index"], np.arange(48, 56))


def test_a_generator_loses_no_batch_and_says_that_it_gives_each_once():
    found = gather(iter(Loader()))
    np.testing.assert_array_equal(found.train.images, IMAGES[:8])
    batches = found.passing.at(0)
    for first in range(0, len(IMAGES), 8):
        np.testing.assert_array_equal(next(batches)["image"], IMAGES[first : first + 8])
    with pytest.raises(ValueError, match="the batches have come to an end, after 6"):
        next(batches)
    anew = "gives each batch once, so make it anew to resume"
    assert anew in found.notes[0] and anew not in gather(Loader()).notes[0]


class Unending(Loader):
    """As a torch loader of an iterable data set, which has the method and no length."""

    def __len__(self):
        raise TypeError("object of type 'Stream' has no len()")


def test_a_loader_whose_length_is_not_known_passes():
    passing = opened(Unending())
    assert isinstance(passing, Passing) and passing.size == 8 and passing.images == 0


def streams(tmp_path):
    """Batches that are taken as they come, and those that a loader reads from files."""
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / "photos" / f"{number:02}.png")
    files = open_records(f"folder:{tmp_path}/photos")
    return opened(Loader()).at, lambda step: loader(files, batch=8, canvas=8, position=8 * step)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_stream_gives_its_last_batch_again_and_begins_anew_elsewhere(kind, tmp_path):
    begin, begun = streams(tmp_path)[kind], []

    def noted(step):
        begun.append(step)
        return begin(step)

    stream = Stream(noted, mesh=make_mesh("data=1"))
    for step in (0, 0, 1, 2, 2, 5, 1):
        seen, expected = stream(step), next(begin(step))
        for name in ("image", "label", "index"):
            np.testing.assert_array_equal(seen[name], expected[name])
    assert begun == [0, 5, 1]


@pytest.mark.parametrize("choice", [{"share": 0.5}, {"per_class": 2}])
def test_batches_that_pass_are_not_chosen_from(choice):
    with pytest.raises(ValueError, match="choose among all images, not of batches as they come"):
        gather(Loader(), **choice)


def test_labels_that_are_not_known_beforehand_are_said_to_be_so(monkeypatch):
    monkeypatch.setattr("jssl.run.data.gather.fits_in_memory", lambda records, canvas: False)
    with pytest.raises(
        ValueError, match="takes images by their labels, and labels of .* not known beforehand"
    ):
        gather(Samples(), per_class=2)
    found = gather(Samples(), share=0.5)
    assert len(found) == 24 and found.notes[-1].endswith("beforehand; give a pair, to train and to test on")
    assert len(gather((Samples(), Samples())).test) == len(IMAGES)


def test_resuming_passes_over_a_shorter_batch_as_the_run_did():
    passing = Passing(Loader(7), "loader", {"image": IMAGES[:7]}, 0)
    straight = passing.at(0)
    for step in range(3 * len(IMAGES) // 7):
        np.testing.assert_array_equal(next(straight)["image"], next(passing.at(step))["image"])


@pytest.mark.parametrize(
    "data, settings, words",
    [
        (Loader(), {"batch": 16, "steps": 2}, "Loader has batches of 8, the run of 16; make them equal"),
        (3, {}, "data is a int; expected a name, a path, a Source"),
        (iter(()), {}, "without a single batch"),
        ([{"picture": IMAGES[0]}], {}, "needs an entry image, it has picture"),
        (("digits", "scenes"), {}, r"digits is a name in a pair of data; open it first: jssl.data.load\('d"),
        (
            (IMAGES, LABELS),
            {},
            r"shape \(48,\) in place of images; a pair is .*from_arrays\(images, labels\)",
        ),
        ({"image": IMAGES, "label": LABELS}, {}, r"a dict of image, label; .*from_arrays\(images, labels\)"),
        ([{"image": IMAGES, "labels": LABELS}], {}, "list: .* has an entry labels; call it label"),
        ((Samples(), Samples(), Samples()), {}, "a tuple of 3; a pair is to train and to test on"),
        (Repeated(), {}, "Repeated without an end; give its samples once"),
        ([IMAGES[0] / 100.0] * 9, {}, "leave the normalisation to the views"),
        ([IMAGES[0].astype(int)] * 9, {}, r"must be uint8, or floats in \[0, 1\], got int64"),
    ],
)
def test_what_cannot_be_used_costs_one_line(data, settings, words, tmp_path):
    with pytest.raises(ValueError, match=words) as refused:
        run(tiny.Tiny, data=data, out=str(tmp_path / "run"), **settings)
    assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()


def test_pixels_are_brought_into_one_layout():
    assert as_pixels(np.zeros((2, 3, 8, 9)), "x").shape == (2, 8, 9, 3)
    assert as_pixels(np.zeros((2, 8, 9, 3)), "x").shape == (2, 8, 9, 3)
    assert as_pixels(np.full((1, 4, 4), 0.5), "x").max() == 128
    assert isinstance(opened(Samples()), Numbered)


def test_a_path_is_a_name(tmp_path, monkeypatch):
    from PIL import Image

    for number in range(len(IMAGES)):
        (tmp_path / "photos" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[number]).save(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    for data in ("photos", "folder:photos", tmp_path / "photos"):
        assert len(gather(data).train) == 44 and gather(data).train.class_names == ("a", "b")
    with pytest.raises(
        ValueError, match="unknown data 'fotos': .* or the path of a folder or .npz file that is there"
    ):
        gather("fotos")
    (tmp_path / "list.txt").write_text("photos/a/0.png\nphotos/b/1.png\n")
    assert len(gather("folder:list.txt").train) == 2
    with pytest.raises(ValueError, match="that is there; a list file is folder:<path>"):
        gather("list.txt")


def test_grains_sources_are_numbered_and_its_iterators_pass():
    grain = pytest.importorskip("grain")
    samples = grain.MapDataset.source(
        [{"image": x, "label": int(y)} for x, y in zip(IMAGES, LABELS, strict=True)]
    )
    found = gather(samples)
    assert found.held_out and len(found.train) + len(found.test) == len(IMAGES)
    passing = opened(samples.batch(8).to_iter_dataset())
    assert isinstance(passing, Passing) and passing.size == 8
    np.testing.assert_array_equal(next(passing.at(2))["image"], IMAGES[16:24])
