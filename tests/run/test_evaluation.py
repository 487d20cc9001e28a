"""The command that evaluates: protocols, what it keeps, what it leaves out."""

import json
from dataclasses import fields, replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jssl.experiments import FineTune, SimSiam
from PIL import Image

from jssl import weights
from jssl.command import main
from jssl.data import Items, from_arrays, in_memory
from jssl.run.data.gather import gather
from jssl.run.directory.results import write
from jssl.run.evaluation import features, protocols
from jssl.run.evaluation.choosing import chosen_protocols
from jssl.run.evaluation.comparison import compare
from jssl.run.evaluation.embed import prepared
from jssl.run.evaluation.features import Columns, matched, read_columns
from jssl.run.evaluation.marks import mark_of_data, mark_of_network
from jssl.run.evaluation.protocols import evaluate
from jssl.run.starting import start
from jssl.run.training import Run
from jssl.weights import Preprocess

QUICK = [
    "knn.k=5,20",
    "linear_dino.epochs=1",
    "k_shot.draws=2",
    "self_augment.images=20",
    "self_augment.steps=5",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Noise whose brightness is its class, of three; a hue of its own for each image."""
    path, rng, arrays = tmp_path_factory.mktemp("data") / "colored.npz", np.random.default_rng(0), {}
    for split, count in (("", 96), ("test_", 48)):
        labels = rng.integers(0, 3, count)
        images = rng.uniform(0, 60, (count, 8, 8, 3)) + 90 * np.eye(3)[labels][:, None, None]
        arrays |= {f"{split}images": images.astype(np.uint8), f"{split}labels": labels}
    np.savez(path, **arrays)
    return f"npz:{path}"


def test_protocols_of_weights_and_what_is_kept(loaded, data, tmp_path, monkeypatch, capsys):
    weights.save(loaded, tmp_path / "own.safetensors")
    line = ["evaluate", str(tmp_path / "own.safetensors"), "--data", data, "--batch", "48"]
    line += ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "kept"), "--set", *QUICK, "--protocol"]
    names = ["knn", "linear_dino", "k_shot", "label_free", "self_augment", "zero_shot"]
    main([*line, *names])
    said = capsys.readouterr().out
    assert f"knn of learned on {data}: " in said and "k 5 20, temperature 0.07" in said
    assert "zero_shot is left out: it needs test images embedded beside captions" in said
    assert "learning_rate 0.001, epochs 1, batch 1024" in said and "kNN k20 top-1" in said
    held = json.loads((tmp_path / "out" / "evaluation.json").read_text())["evaluations"]
    assert [entry["protocol"] for entry in held] == names[:-1]
    knn = held[0]
    assert knn["settings"] == {"k": [5, 20], "temperature": 0.07} and knn["metrics"]["knn_k5_top1"] > 0.5
    assert "central 8 pixels" in knn["network"] and "3 classes" in knn["looked_at"]
    assert held[1]["looked_at"][0].endswith("training images as layers of 3 x 8")
    assert "<table" in (tmp_path / "out" / "evaluation.html").read_text()
    assert f"| learned | {data} | kNN k5 top-1, % |" in (tmp_path / "out" / "evaluation.md").read_text()

    def never(*arguments, **settings):
        raise AssertionError("features were there")

    with monkeypatch.context() as patch:
        patch.setattr(features, "embed", never)
        again = evaluate(
            str(tmp_path / "own.safetensors"),
            data=data,
            protocols=chosen_protocols(["logistic", "knn"], ["logistic.strengths=[1.0]", *QUICK[:1]]),
            out=tmp_path / "out",
            cache=tmp_path / "kept",
        )
    assert again[1]["metrics"] == knn["metrics"]
    held = json.loads((tmp_path / "out" / "evaluation.json").read_text())["evaluations"]
    assert [entry["protocol"] for entry in held] == [*names[:-1], "logistic"]  # knn in its old place


def test_the_report_keeps_data_sets_and_settings_apart(tmp_path):
    def entry(value, data, row="learned", k=20):
        metrics, settings = {"knn_top1": value}, {"k": k, "temperature": 0.07}
        held = dict(protocol="knn", main="knn_top1", metrics=metrics, settings=settings, row=row, data=data)
        return held | dict(network=f"{row}: ViT", looked_at=["60 images"], notes=[])

    write(tmp_path, "dino", [entry(0.11, "digits", "raw pixels"), entry(0.55, "digits")])
    page = (tmp_path / "evaluation.html").read_text()
    assert '<th scope="col">kNN top-1, %</th>' in page and "knn of learned.data" in page
    write(
        tmp_path, "dino", [entry(0.11, "digits", "raw pixels"), entry(0.55, "digits"), entry(0.99, "scenes")]
    )
    page = (tmp_path / "evaluation.html").read_text()
    assert all(value in page for value in (">11.0<", ">55.0<", ">99.0<"))
    assert '<th scope="col">digits: kNN top-1, %</th><th scope="col">scenes: kNN top-1, %</th>' in page
    write(tmp_path, "dino", [entry(0.55, "digits"), entry(0.77, "digits", k=200)])
    page = (tmp_path / "evaluation.html").read_text()
    assert "k 20: kNN top-1, %" in page and "k 200: knn of learned.k" in page and ">77.0<" in page


def test_baselines_stand_beside_it(loaded, data, tmp_path):
    protocols = chosen_protocols(["knn", "transfer"], ["transfer.strengths=[1.0]"])
    where = dict(out=tmp_path / "out", cache=tmp_path / "kept", batch=48)
    found = evaluate(loaded, data=data, protocols=protocols, sets=(data,), baselines=True, **where)
    rows = {(entry["row"], entry["protocol"]): entry["metrics"][entry["main"]] for entry in found}
    assert set(rows) == {
        ("learned", "knn"),
        ("learned", "transfer"),
        ("random network", "knn"),
        ("raw pixels", "knn"),
    }
    assert rows["raw pixels", "knn"] == 1.0 and rows["learned", "transfer"] > 0.5


def test_what_is_said_of_further_data_is_said_once_and_kept(loaded, data, tmp_path):
    alone = tmp_path / "alone.npz"  # without a test split
    with np.load(data.partition(":")[2]) as held:
        np.savez(alone, images=held["images"], labels=held["labels"])
    said: list[str] = []
    protocols = chosen_protocols(["transfer"], ["transfer.strengths=[1.0]"])
    where = dict(out=tmp_path / "out", cache=tmp_path / "kept", batch=48, sets=(f"npz:{alone}",))
    (found,) = evaluate(loaded, data=data, protocols=protocols, say=said.append, **where)
    assert len([line for line in said if "there is no test split" in line]) == 1
    assert [note.partition(" of ")[0] for note in found["notes"]] == [
        f"npz:{alone}: there is no test split: 10"
    ]


def file_of(path, count=60, classes=3, width=4, seed=0, **more):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    columns = {"features": np.eye(width)[labels] + 0.1 * rng.normal(size=(count, width)), "labels": labels}
    names = {"class_names": np.array([f"c{i}" for i in range(classes)])}
    np.savez(path, **{name: x for name, x in (columns | names | more).items() if x is not None})
    return str(path)


def test_a_file_of_features_with_and_without_a_test_split(tmp_path):
    train = file_of(tmp_path / "train.npz")
    other = file_of(tmp_path / "test.npz", seed=1, class_names=np.array(["c2", "c1", "c0"]))
    where = dict(protocols=["knn"], out=tmp_path / "out")
    with np.load(other) as file:  # classes go by name: the same numbers mean others there
        mirrored = dict(file) | {"labels": 2 - file["labels"]}
    np.savez(other, **mirrored)
    assert evaluate(train, test=other, **where)[0]["metrics"] == {"knn_top1": 1.0}
    (held,) = evaluate(train, **where)
    assert held["metrics"] == {"knn_top1": 1.0} and "a stratified tenth, are held out" in held["notes"][0]


def test_what_does_not_fit_costs_one_line(tmp_path, loaded, capsys):
    train = file_of(tmp_path / "train.npz")
    bare = file_of(tmp_path / "bare.npz", labels=None, class_names=None)
    wide = file_of(tmp_path / "wide.npz", width=5)
    alone = file_of(tmp_path / "alone.npz", labels=np.zeros(60, int), class_names=np.array(["only"]))
    infinite = file_of(tmp_path / "infinite.npz", features=np.full((60, 4), np.nan))
    (tmp_path / "junk.npz").write_bytes(b"junk")
    np.savez(tmp_path / "odd.npz", features=np.ones((3, 2)), labels=np.zeros(4))
    for arguments, words in (
        ([train, "--protocol", "linear_dino"], "it needs class tokens of the last blocks of training images"),
        ([bare], "it needs labels of training images"),
        ([alone], "it needs at least two classes, there is 1"),
        ([infinite], "features of training images are not all finite"),
        ([train, "--test", wide], "features of one width, they are (4,) and (5,)"),
        ([train, "--protocol", "svm"], "unknown protocol 'svm'"),
        ([train, "--set", "knn.n=3"], "knn has no setting n"),
        ([train, "--set", "k_shot.n=3"], "expected PROTOCOL.SETTING=VALUE of knn, linear"),
        ([str(tmp_path / "junk.npz")], "junk.npz cannot be read"),
        ([str(tmp_path / "odd.npz")], "labels must be 3 integers"),
        ([train, "--baselines"], "--baselines needs a network"),
        (["dinov2_vits14"], "say on which images: --data"),
        ([], "say what to evaluate"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["evaluate", *arguments, "--out", str(tmp_path / "out")])
        error = capsys.readouterr().err.strip().splitlines()
        assert end.value.code == 2 and len(error) == 1 and words in error[0], (arguments, error)


def test_where_results_cannot_be_written_nothing_is_computed(tmp_path, monkeypatch):
    def never(*arguments, **settings):
        raise AssertionError("computed before it was refused")

    monkeypatch.setattr(protocols, "_scored", never)
    (tmp_path / "file").write_text("a note")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "evaluation.json").write_text("{}")
    features = str(file_of(tmp_path / "f.npz"))
    for out, words in (
        ("file", "--out .*file cannot be made: .*file may not be written to"),
        ("file/below", "--out .*below cannot be made: .*file may not be written to"),
        ("other", "evaluation.json is not what jssl evaluate writes"),
    ):
        with pytest.raises(ValueError, match=words):
            evaluate(features, protocols=["knn"], out=tmp_path / out)


@pytest.mark.parametrize(
    "held, name",
    [(["folder:a", "folder:b"], "folder:a"), ("arrays", "arrays"), ("a Photographs", "Photographs")],
)
def test_a_run_of_data_without_a_name_asks_for_data(held, name, tmp_path):
    config = {"experiment": "simclr", "settings": {"data": held}, "numbers": {}, "data": {"name": name}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"handed over in Python, {name}; say on which images: --data"):
        evaluate(tmp_path)


def test_what_is_not_finite_is_left_out_wherever_it_lies():
    def refused(name, **there):
        with pytest.raises(ValueError, match=f"{name} is left out: .* are not all finite"):
            protocols._given(protocols.protocol(name), SimpleNamespace(given=there.get))

    whole, broken = np.ones((4, 2)), np.array([[1.0, np.nan]] * 4)
    refused("cross_retrieval", test_embeddings=jax.numpy.asarray(broken), caption_embeddings=whole)
    refused("propagate", film_tokens=[whole[None], broken[None]], film_objects=[np.ones((1, 2, 2), int)] * 2)
    refused("transfer", sets={"digits": {"train_features": whole, "test_features": broken}})
    depth = dict(train_depth=np.full((4, 2, 2), np.nan))  # pixels without one
    looked_at = ("whole_features", "tokens")
    there = depth | {f"{part}_{what}": whole for part in ("train", "test") for what in looked_at}
    there |= dict(test_depth=depth["train_depth"])
    assert protocols._given(protocols.protocol("linear_depth"), SimpleNamespace(given=there.get))


def test_a_class_that_training_lacks_is_said():
    test = Columns(np.ones((4, 2)), np.array([0, 1, 2, -1]), ("a", "b", "c"))
    train = Columns(np.ones((3, 2)), np.array([0, 1, -1]), ("a", "b"))
    kept, tested, notes = matched(train, test)
    assert len(kept.labels) == 2 and tested.labels.tolist() == [0, 1]
    assert notes == ["1 test images are left out, of classes that training has not: c"]
    _, tested, notes = matched(train._replace(class_names=("a", "b", "c")), test)
    assert "no training images of 1 classes (c); their 1 test images count as wrong" in notes[0]
    assert tested.labels.tolist() == [0, 1, 2]


def test_marks_change_with_network_and_data(loaded):
    other = jax.tree.map(lambda x: x + 1e-6, loaded.variables)
    marks = {mark_of_network(loaded), mark_of_network(replace(loaded, variables=other))}
    assert len(marks | {mark_of_network(replace(loaded, preprocess=Preprocess(9, 8)))}) == 3
    assert mark_of_network(loaded) in marks
    images = np.zeros((3, 8, 8, 3), np.uint8)
    records = [in_memory(from_arrays(x, [0, 1, 0])) for x in (images, images + 1, images)]
    assert mark_of_data(records[0]) == mark_of_data(records[2]) != mark_of_data(records[1])


@pytest.mark.parametrize("shape", [(1, 90), (90, 2), (12, 40)])
def test_a_strip_is_prepared_without_its_ends(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    rows, columns = (side * 12 // min(shape) for side in shape)
    whole = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BICUBIC))
    top, left = (rows - 8) // 2, (columns - 8) // 2
    np.testing.assert_allclose(prepared(image, Preprocess(12, 8)), whole[top : top + 8, left : left + 8])


def test_other_labels_of_the_same_images_have_another_mark():
    image = np.zeros((4, 4, 3), np.uint8)
    marks = [mark_of_data(Items([(image, label)] * 3, "own", ("a", "b"))) for label in (0, 1)]
    assert marks[0] != marks[1]


def test_fine_tuning_is_the_experiments(loaded, tmp_path, monkeypatch):
    asked = {}

    def started(name, **settings):
        asked.update(settings, name=name)
        return Run(None, None, {"learned": {"head_top1": 0.7}})

    monkeypatch.setattr(protocols, "start", started)
    chosen = chosen_protocols(["fine_tune_beit"], ["fine_tune_beit.epochs=2"])
    (found,) = evaluate(loaded, data="digits", protocols=chosen, out=tmp_path)
    assert found["metrics"] == {"fine_tune_beit_top1": 0.7} and asked["name"] == "fine_tune"
    assert asked["epochs"] == 2 and asked["learning_rate"] == 4e-3 and asked["start"] is loaded
    assert asked["data"] == "digits" and str(tmp_path) in asked["out"]
    known = {field.name for field in fields(FineTune)}
    assert set(found["settings"]) <= known  # the experiment has all of them
    before = asked["out"]
    evaluate(loaded, data="scenes", data_dir="/sets", protocols=chosen, out=tmp_path)
    assert asked["data_dir"] == "/sets" and asked["out"] != before


def test_another_network_of_the_same_name_is_fine_tuned_anew(loaded, tmp_path, monkeypatch):
    asked = []

    def started(name, **settings):
        asked.append(settings)
        return SimpleNamespace(table={"learned": {"head_top1": len(asked) / 10}})

    monkeypatch.setattr(protocols, "start", started)

    def top1(network, **settings):
        (found,) = evaluate(network, data="digits", protocols=["fine_tune_mae"], out=tmp_path, **settings)
        return found["metrics"]["fine_tune_mae_top1"]

    moved = replace(loaded, variables=jax.tree.map(lambda x: x + 1, loaded.variables))
    assert [top1(loaded), top1(moved), top1(loaded, size=16)] == [0.1, 0.2, 0.3]
    assert len({settings["out"] for settings in asked}) == 3
    assert [settings["size"] for settings in asked] == [None, None, 16]

    def refused(name, **settings):
        raise ValueError("batch of 1024 is larger than the data")

    monkeypatch.setattr(protocols, "start", refused)
    with pytest.raises(ValueError, match="fine_tune_mae: batch of 1024 .*; its settings, .* by --set"):
        top1(loaded)


def test_the_catalogue_names_every_protocol(capsys):
    main(["evaluate", "--list"])
    listed = capsys.readouterr().out
    assert "linear_mae\n  Makes MAE's linear probe" in listed and "needs train_layers" in listed


def test_a_run_on_chosen_images_is_evaluated_on_them_and_compared(data, tmp_path):
    """The same tenth is held out as in the run."""
    with np.load(data.removeprefix("npz:")) as file:
        images, labels = file["images"], file["labels"]
    np.savez(tmp_path / "all.npz", images=images, labels=labels, depth=np.ones(images.shape[:3]))
    name, chosen = f"npz:{tmp_path}/all.npz", np.arange(3, 96, 2)
    np.savez(tmp_path / "kept.npz", names=[f"{name}[{row}]" for row in chosen], rows=chosen)
    small = dict(encoder="vit_n4", size=8, batch=8, steps=1, warmup=0, dim=16, hidden=8, views="crops")
    only = dict(data=name, only=str(tmp_path / "kept.npz"))
    run, held = start(SimSiam(**only, **small), out=str(tmp_path / "run"), seed=3), gather(**only)
    seen = protocols._subject(str(tmp_path / "run"), None, None, tmp_path, print, {})
    for one, records, dense in zip((held.train, held.test), seen.records, seen.labelled, strict=True):
        np.testing.assert_array_equal([records[row]["image"] for row in range(len(records))], one.images)
        np.testing.assert_array_equal(dense.images, one.images)
    assert len(held.train) + len(held.test) == len(chosen)
    again = protocols._subject(str(tmp_path / "run"), f"{tmp_path}/./all.npz", None, tmp_path, print, {})
    assert seen.on("digits").only is None and (again.data, again.only) == (name, only["only"])
    (found,) = evaluate(run.directory, protocols=["label_free"], cache=tmp_path / "features", batch=48)
    assert found["data"] == name and "ViT of" in found["network"] and ", params.encoder;" in found["network"]
    assert found["step"] == 1
    (row,) = compare([str(run.directory)])
    assert row.name == "simsiam" and row.metrics["label_free_rank_me"][0] >= 1
    assert row.metrics["knn_top1"] == (run.table["learned"]["knn_top1"],)


def test_a_file_without_names_of_classes_has_numbers(tmp_path):
    columns = read_columns(file_of(tmp_path / "f.npz", class_names=None))
    assert columns.class_names == ("0", "1", "2") and columns.labels.dtype == np.int32
