"""Curation: copies, evaluation images and neighbours by features, and a run on what is left."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from jssl.command import main
from jssl.data import from_arrays
from jssl.data.reading.records import in_memory
from jssl.evaluate import curation
from jssl.run.curate import curate
from jssl.run.curate import main as command
from jssl.run.data.gather import gather
from jssl.run.evaluation.protocols import evaluate

RNG = np.random.default_rng(0)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def planted(count=600, copies=120, dim=24, noise=0.02):
    """Random features, the last of them copies of the first but for some noise."""
    first = RNG.normal(size=(count, dim))
    return np.concatenate([first, first[:copies] + noise * RNG.normal(size=(copies, dim))]), count


def test_one_image_of_each_group_of_copies_is_kept():
    features, count = planted()
    kept = curation.without_copies(features, threshold=0.9)
    assert kept.tolist() == list(range(count))  # all copies found, no false alarm
    thrice = np.concatenate([features, features[:5], features[:5]])
    np.testing.assert_array_equal(curation.without_copies(thrice, threshold=0.9), kept)
    chain = unit(np.array([[1.0, 0.0], [1.0, 0.5], [1.0, 1.2], [-1.0, 0.0]]))  # each like the next alone
    assert curation.without_copies(chain, threshold=0.85).tolist() == [0, 3]
    found = np.array([[0.9, -np.inf], [0.95, 0.2], [0.1, 0.1]]), np.array([[1, -1], [0, 2], [0, 1]])
    assert curation.one_of_each_group(*found, threshold=0.6).tolist() == [0, 2]  # -1: an index found no more


def test_an_image_alone_is_no_neighbour():
    with pytest.raises(ValueError, match="--neighbours must be at least 2, got 1"):
        command(["pool.npz", "--copies", "0.6", "--neighbours", "1", "--out", "kept.npz"])


def test_neighbours_in_parts_are_those_of_all_at_once(monkeypatch):
    features, _ = planted(50, 10)
    whole = curation.neighbours(features, features, k=3)
    monkeypatch.setattr(curation, "PART", 16)
    for ours, theirs in zip(curation.neighbours(features, features, k=3), whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    cosines = unit(features) @ unit(features).T
    np.testing.assert_array_equal(np.sort(whole[1], 1), np.sort(np.argsort(-cosines, 1)[:, :3], 1))


class Exact:
    """As much of an index of faiss as is used, of a bank of so many rows at least."""

    nprobe, rows = 1, None

    def train(self, rows):
        if len(rows) < 100:
            raise RuntimeError("Error in Train: Number of training points should be\nat least as large")

    def add(self, rows):
        self.rows = rows

    def search(self, queries, k):
        assert self.nprobe == 5
        cosines = queries @ self.rows.T
        rows = np.argsort(-cosines, 1)[:, :k]
        rows[:, -1] = -1
        return np.where(rows < 0, -np.inf, np.take_along_axis(cosines, rows, 1)), rows


@pytest.fixture
def faiss(monkeypatch):
    made = SimpleNamespace(METRIC_INNER_PRODUCT=0, index_factory=lambda width, factory, metric: Exact())
    monkeypatch.setitem(sys.modules, "faiss", made)
    monkeypatch.setattr("jssl.extras.find_spec", lambda package: package)


def test_an_index_finds_what_is_found_exactly(faiss):
    features, count = planted(200, 20)
    search = curation.by_index("IVF8,Flat", probes=5)
    kept = curation.without_copies(features, threshold=0.9, k=8, search=search)
    assert kept.tolist() == list(range(count))
    found = curation.retrieve(features, features[:3] + 0.01, k=5, search=search)
    np.testing.assert_array_equal(found, curation.retrieve(features, features[:3] + 0.01, k=4))
    with pytest.raises(ValueError, match="no index 'IVF8,Flat' for 90 images: .* at least"):
        search(features[:90], features, k=2)


def test_without_faiss_the_command_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("jssl.extras.find_spec", lambda package: None)
    with pytest.raises(ImportError, match="faiss is not installed; `pip install faiss-cpu` brings it"):
        command(["pool.npz", "--copies", "0.6", "--index", "IVF8,Flat", "--out", "kept.npz"])


def test_what_resembles_an_evaluation_image_is_removed_and_retrieval_is_idempotent():
    features, count = planted(200, 20)
    held_out = features[count:]
    kept = curation.without(features[:count], held_out, threshold=0.9)
    assert kept.tolist() == list(range(20, count))
    wanted = RNG.normal(size=(7, features.shape[1]))
    found = curation.retrieve(features, wanted, k=4)
    assert len(found) <= 28 and np.all(np.diff(found) > 0)
    again = curation.retrieve(features[found], wanted, k=4)
    np.testing.assert_array_equal(found[again], found)


def test_clusters_with_several_wanted_images_are_taken():
    centres = 10 * np.eye(4, 6)
    pool = np.repeat(centres, 30, 0) + RNG.normal(size=(120, 6))
    wanted = np.concatenate([np.repeat(centres[1:2], 5, 0), centres[2:3]]) + 0.1 * RNG.normal(size=(6, 6))
    found = curation.retrieve_by_cluster(pool, wanted, clusters=4, seed=1)
    assert found.tolist() == list(range(30, 60))
    few = curation.retrieve_by_cluster(pool, wanted, clusters=4, most=7, seed=1)
    assert len(few) == 7 and set(few) <= set(found)
    assert len(curation.retrieve_by_cluster(pool, wanted, clusters=4, hits=5, seed=1)) == 0
    more = np.concatenate([wanted, np.repeat(centres[3:], 5, 0)])  # of a second cluster
    whole, part = (curation.retrieve_by_cluster(pool, more, clusters=4, in_all=n, seed=1) for n in (120, 25))
    assert len(part) == 25 < len(whole) and set(part) < set(whole) and np.all(np.diff(part) > 0)
    assert set(part) & set(found) and set(part) - set(found)  # drawn from both


@pytest.fixture
def files(tmp_path):
    """Features of 30 images, ten of them copies, as `jssl embed` writes them, and the images."""
    images = RNG.integers(0, 256, (30, 8, 8, 3), np.uint8)
    source = from_arrays(images, np.arange(30) % 3, name="pool")
    features, _ = planted(20, 10)
    names = np.array([in_memory(source).describe(i) for i in range(30)])
    np.savez(tmp_path / "pool.npz", features=features.astype(np.float32), names=names)
    np.savez(tmp_path / "test.npz", features=features[:2].astype(np.float32), names=names[:2])
    np.savez(tmp_path / "few.npz", features=features[[5, 9]].astype(np.float32), names=names[:2])
    return tmp_path, source


def test_the_command_writes_what_a_run_can_be_restricted_to(files, capsys):
    folder, source = files
    asked = ["curate", f"{folder}/pool.npz", "--copies", "0.9", "--held-out", f"{folder}/test.npz"]
    asked += ["--held-out-above", "0.9", "--wanted", f"{folder}/few.npz", "--nearest", "3"]
    main([*asked, "--out", f"{folder}/kept.npz"])
    told = capsys.readouterr().out
    assert "30 images" in told and "cosines above 0.9: 20" in told and "cosines above 0.9: 18" in told
    with np.load(folder / "kept.npz") as file:
        rows, names, about = file["rows"], file["names"], json.loads(str(file["about"]))
    assert {5, 9} <= set(rows) and len(rows) <= 6 and about["copies"] == 0.9
    found = gather(source, only=f"{folder}/kept.npz")
    np.testing.assert_array_equal(found.train.images, source.images[rows])
    assert names.tolist() == [f"pool[{row}]" for row in rows]


@pytest.mark.parametrize("change", ["network", "tokens", "blocks", "size"])
def test_features_of_two_networks_are_not_compared(change, tmp_path):
    made = dict(marks=["dino", "its images"], tokens="cls", blocks=[], size=8)
    other = made | {"marks": ["mae" if change == "network" else "dino", "others"]}
    other |= {name: 3 for name in ("tokens", "blocks", "size") if name == change}
    for name, about in dict(pool=made, other=other).items():
        columns = dict(features=np.eye(4), labels=np.arange(4), names=np.array(list("abcd")))
        np.savez(tmp_path / f"{name}.npz", **columns, about=np.array(json.dumps(about)))
    pool, other = tmp_path / "pool.npz", tmp_path / "other.npz"
    for use in (
        lambda: curate(pool, tmp_path / "x.npz", held_out=other),
        lambda: curate(pool, tmp_path / "x.npz", wanted=other),
        lambda: evaluate(pool, test=str(other), out=tmp_path / "out"),
    ):
        with pytest.raises(ValueError, match=f"other.npz has features of another .*{change}.* than .*pool"):
            use()


def test_what_cannot_be_curated_costs_one_line(files, tmp_path):
    folder, source = files
    np.savez(folder / "tokens.npz", features=np.zeros((4, 3, 2)), names=np.array(["a"] * 4))
    for kind, words in (("tokens", "features \\[4, 3, 2\\]"), ("none", "cannot be read as features")):
        with pytest.raises(ValueError, match=words):
            curate(folder / f"{kind}.npz", tmp_path / "x.npz", copies=0.9)
    with pytest.raises(ValueError, match="no image is left"):
        curate(folder / "test.npz", tmp_path / "x.npz", held_out=folder / "pool.npz")
    with pytest.raises(ValueError, match="cannot be read as a file of `jssl curate`, for --only"):
        gather(source, only=str(folder / "missing.npz"))
    kept = curate(folder / "pool.npz", tmp_path / "kept.npz", copies=0.9)
    with pytest.raises(ValueError, match="10 of its 20 images are not in the data"):
        gather(source.some(np.arange(10)), only=str(kept))
