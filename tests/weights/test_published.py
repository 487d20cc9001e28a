"""Published names: found where they lie, or told which file to fetch."""

import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType

import pytest

from jssl import weights
from jssl.weights.catalog import PUBLISHED
from jssl.weights.engine import File
from jssl.weights.published import _downloaded as DOWNLOADED
from jssl.weights.published import locate
from jssl.weights.tables import FAMILIES
from tests.weights.files import CASES, case


@pytest.fixture(autouse=True)
def nothing_here(tmp_path, monkeypatch):
    for name, folder in (("HF_HOME", "hf"), ("TORCH_HOME", "torch"), ("JSSL_WEIGHTS", "own")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setattr("jssl.weights.published._downloaded", lambda name: (None, "there is no network"))


def test_every_name_has_a_family_a_licence_and_a_place():
    assert len(PUBLISHED) >= 50
    for name, known in PUBLISHED.items():
        assert known.family in FAMILIES and known.licence
        assert known.is_file or known.at == name
    assert [row["name"] for row in weights.names()] == list(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_without_the_file_one_line_says_what_to_fetch_and_where_to_put_it(name, tmp_path):
    with pytest.raises(ValueError) as error:
        weights.load(name)
    text = str(error.value)
    assert "\n" not in text and PUBLISHED[name].at in text and str(tmp_path / "own") in text


def test_a_download_that_fails_says_why_and_where_to_put_the_files(tmp_path, monkeypatch):
    def snapshot_download(name, **_):
        raise OSError(f"no route to {name}\nat all")

    hub = ModuleType("huggingface_hub")
    hub.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setattr("jssl.weights.published._downloaded", DOWNLOADED)
    with pytest.raises(ValueError) as error:
        weights.load("facebook/dinov2-small")
    text = str(error.value)
    assert "\n" not in text and "no route to facebook/dinov2-small at all" in text
    files = "fetch config.json and model.safetensors, or pytorch_model.bin, of"
    assert f"{files} https://huggingface.co/facebook/dinov2-small and" in text
    assert f"put them into {tmp_path / 'own'}/facebook/dinov2-small/" in text


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_of_a_repository_without_safetensors_the_older_file_is_fetched(file, tmp_path, monkeypatch):
    there, asked = {"config.json", "tf_model.h5", file}, []

    def snapshot_download(name, *, allow_patterns):
        asked.append(allow_patterns)
        (tmp_path / "snapshot").mkdir(exist_ok=True)
        for found in (one for one in there if any(fnmatch(one, pattern) for pattern in allow_patterns)):
            (tmp_path / "snapshot" / found).touch()
        return str(tmp_path / "snapshot")

    hub = ModuleType("huggingface_hub")
    hub.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setattr("jssl.weights.published._downloaded", DOWNLOADED)
    place = locate("openai/clip-vit-base-patch32")
    assert [path.name for path in place.files] == [file] and place.family == "hf_clip"
    assert len(asked) == (1 if file == "model.safetensors" else 2)
    assert sorted(path.name for path in (tmp_path / "snapshot").iterdir()) == ["config.json", file]


def test_a_wrong_name_brings_up_the_closest():
    with pytest.raises(ValueError, match="did you mean .*dinov2_vits14"):
        weights.load("dinov2_vits4")


@pytest.mark.parametrize("place", ["own/openai/clip-vit-base-patch32", "own/clip-vit-base-patch32"])
def test_a_repository_in_a_folder_of_ones_own(place, tmp_path):
    shutil.copytree(CASES / "hf_clip", tmp_path / place)
    assert weights.load("openai/clip-vit-base-patch32").family == "hf_clip"


def test_a_repository_in_the_hub_s_cache(tmp_path):
    snapshot = tmp_path / "hf/hub/models--openai--clip-vit-base-patch32/snapshots/abc"
    shutil.copytree(CASES / "hf_clip", snapshot)
    assert weights.load("openai/clip-vit-base-patch32").licence == "MIT"


def test_a_file_of_several_publishers_is_taken_under_its_full_name_alone(tmp_path):
    folder, _ = case("resnet_torchvision", tmp_path)
    own, cache = tmp_path / "own", tmp_path / "torch/hub/checkpoints"
    own.mkdir()
    cache.mkdir(parents=True)
    shutil.copy(folder / "model.safetensors", cache / "resnet50.pth")
    with pytest.raises(ValueError, match="not on this machine"):
        weights.load("vicreg_resnet50")
    shutil.copy(folder / "model.safetensors", own / "vicreg_resnet50.pth")
    assert weights.load("vicreg_resnet50").family == "resnet_torchvision"


def test_the_page_lists_families_and_names():
    page = (Path(__file__).parents[2] / "docs/weights.md").read_text()
    for row in weights.families():
        assert f"| `{row['family']}` | {row['architectures']} | {row['publisher']} |" in page
    for row in weights.names():
        assert f"| `{row['name']}` | `{row['family']}` | {row['licence']} |" in page


@pytest.mark.parametrize("name, kind", [("moco_v3_vit", "bilinear"), ("msn", "bilinear"), ("mae", "bicubic")])
def test_images_are_interpolated_as_in_the_publisher_s_evaluation(name, kind):
    assert FAMILIES[name].preprocess(File({}, {})).interpolation == kind


@pytest.mark.parametrize(
    "name, side, size",
    [
        ("beit", 224, 256),
        ("beit_finetuned", 384, 384),
        ("hf_beit", 224, 224),
        ("mae_vit", 224, 256),
        ("mae_vit", 448, 448),
    ],
)
def test_images_are_cropped_as_in_the_publisher_s_evaluation(name, side, size):
    pixels = FAMILIES[name].preprocess(File({"img_size": side}, {}))
    assert (pixels.size, pixels.crop) == (size, side)
