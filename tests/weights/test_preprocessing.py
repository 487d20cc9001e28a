"""Images are prepared as their publishers prepare them."""

import numpy as np
import pytest
from PIL import Image

from jssl import weights
from jssl.run.evaluation.embed import prepared
from jssl.weights.engine import File
from jssl.weights.preprocessing import Preprocess, Spectrograms

BOTH = {"height": 32, "width": 32}
PREPARED = {  # config, preprocessor_config.json -> (size, crop, squashed)
    "vit": ({"model_type": "vit"}, {"size": BOTH}, (32, 32, True)),
    "vit, the model's images larger": (
        {"model_type": "vit", "image_size": 48},
        {"size": BOTH},
        (32, 32, True),
    ),
    "an old vit": ({}, {"size": 32, "feature_extractor_type": "ViTFeatureExtractor"}, (32, 32, True)),
    "beit uncropped": (
        {},
        {
            "size": 48,
            "crop_size": 32,
            "do_center_crop": False,
            "feature_extractor_type": "BeitFeatureExtractor",
        },
        (48, 48, True),
    ),
    "dinov2": ({}, {"size": {"shortest_edge": 40}, "crop_size": BOTH}, (40, 32, False)),
    "an old clip": (
        {},
        {
            "size": 32,
            "crop_size": 32,
            "do_center_crop": True,
            "feature_extractor_type": "CLIPFeatureExtractor",
        },
        (32, 32, False),
    ),
    "timm": ({"pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.9}}, None, (248, 224, False)),
    "timm squashed": (
        {"pretrained_cfg": {"input_size": [3, 384, 384], "crop_pct": 0.95, "crop_mode": "squash"}},
        None,
        (404, 384, True),
    ),
    "open_clip": ({"image_size": 32, "preprocess_cfg": {"resize_mode": "squash"}}, None, (36, 32, True)),
}


@pytest.mark.parametrize("name", PREPARED)
def test_images_are_resized_as_the_publisher_does(name):
    config, stated, want = PREPARED[name]
    pixels = Preprocess.of(File(config | ({"preprocessor": stated} if stated else {}), {}))
    assert (pixels.size, pixels.crop, pixels.squash) == want


def test_a_file_is_seen_as_data_is(tmp_path):
    pixels = Preprocess(4, 4, "bilinear", (0.0,) * 3, (1.0,) * 3)
    deep, clear = np.full((4, 4), 40_000, np.uint16), np.zeros((4, 4, 4), np.uint8)
    for image, value in ((deep, round(40_000 / 257)), (clear, 255)):  # transparency is white
        Image.fromarray(image).save(tmp_path / "x.png")
        np.testing.assert_allclose(pixels(tmp_path / "x.png"), value / 255, atol=1e-6)
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="not an image of a known format"):
        pixels(str(tmp_path / "x.png"))


def test_a_squashed_image_is_seen_to_its_ends():
    image = np.zeros((8, 400, 3), np.uint8)
    image[:, :200] = 255
    pixels = Preprocess(8, 8, "bilinear", (0.0,) * 3, (1.0,) * 3, squash=True)
    np.testing.assert_allclose(pixels(image)[0, 0, :, 0], [1, 1, 1, 1, 0, 0, 0, 0], atol=0.2)
    np.testing.assert_array_equal(np.asarray(pixels(image)[0] * 255, int), prepared(image, pixels))
    assert Preprocess(224, 224).resized(110, 495) == (224, 1008)  # 495 * (224 / 110) is 1007.9...


def test_what_a_processor_leaves_out_is_left_out():
    pixels = Preprocess.of(File({"preprocessor": {"do_normalize": False, "image_mean": [0.5] * 3}}, {}))
    assert (pixels.mean, pixels.std) == ((0.0,) * 3, (1.0,) * 3)
    with pytest.raises(ValueError, match="resize_mode is 'longest', known are"):
        Preprocess.of(File({"preprocess_cfg": {"resize_mode": "longest"}}, {}))


def test_spectrograms_are_not_resized():
    with pytest.raises(ValueError, match="fixed to their length"):
        weights.resize(weights.Loaded(None, {}, preprocess=Spectrograms()), size=64)
