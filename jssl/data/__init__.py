"""Sources of images, augmentations, and views of a batch."""

from jssl.arrays.keys import sample_keys
from jssl.data.augment.base import (
    Augmentation,
    Canvas,
    as_float,
    chain,
    identity,
    normalize,
    with_probability,
)
from jssl.data.augment.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    autocontrast,
    color_jitter,
    equalize,
    grayscale,
    posterize,
    solarize,
    without_fringes,
)
from jssl.data.augment.crop import (
    center_crop,
    crop_and_resize,
    crop_boxes,
    horizontal_flip,
    random_resized_crop,
    resize,
    vertical_flip,
)
from jssl.data.augment.filters import blur, gaussian_blur
from jssl.data.augment.geometry import affine, quarter_turns, rotation, warp
from jssl.data.augment.mix import cutmix, cutout, mixup, random_erasing
from jssl.data.augment.randaugment import adjust_sharpness, randaugment
from jssl.data.catalog import load, open_records
from jssl.data.reading.bpe import bpe_tokenizer, learn_merges, read_merges
from jssl.data.reading.decode import DamagedImage
from jssl.data.reading.loader import Loader
from jssl.data.reading.memory import decode_all, decode_squares, fits_in_memory
from jssl.data.reading.order import shuffled
from jssl.data.reading.records import Items, Records, Some, in_memory
from jssl.data.reading.resident import batch_indices, epoch_permutation, steps_per_epoch, take
from jssl.data.reading.sizes import Sides, image_shape, sides
from jssl.data.reading.tokenizer import Tokenizer, byte_tokenizer, word_tokenizer
from jssl.data.source import NoSplit, Source
from jssl.data.sources.arrays import from_arrays
from jssl.data.sources.folder import Files, folder
from jssl.data.sources.npz import from_npz
from jssl.data.splits import subset
from jssl.data.views import (
    Views,
    byol,
    cmae,
    corrupted,
    dino,
    dinov2,
    evaluation_view,
    ibot,
    infomin,
    mae,
    moco_v1,
    moco_v2,
    msn,
    multi_crop,
    ressl,
    simclr,
    swav,
    two_views,
)

__all__ = [
    "Augmentation",
    "Canvas",
    "as_float",
    "chain",
    "identity",
    "normalize",
    "sample_keys",
    "with_probability",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "autocontrast",
    "color_jitter",
    "equalize",
    "grayscale",
    "posterize",
    "solarize",
    "without_fringes",
    "center_crop",
    "crop_and_resize",
    "crop_boxes",
    "horizontal_flip",
    "random_erasing",
    "random_resized_crop",
    "resize",
    "vertical_flip",
    "blur",
    "gaussian_blur",
    "DamagedImage",
    "affine",
    "quarter_turns",
    "rotation",
    "warp",
    "Loader",
    "Files",
    "Items",
    "NoSplit",
    "Some",
    "Tokenizer",
    "bpe_tokenizer",
    "byte_tokenizer",
    "learn_merges",
    "read_merges",
    "word_tokenizer",
    "Sides",
    "image_shape",
    "sides",
    "Records",
    "folder",
    "in_memory",
    "open_records",
    "decode_all",
    "decode_squares",
    "fits_in_memory",
    "cutmix",
    "cutout",
    "mixup",
    "shuffled",
    "adjust_sharpness",
    "randaugment",
    "batch_indices",
    "epoch_permutation",
    "steps_per_epoch",
    "take",
    "Source",
    "from_arrays",
    "from_npz",
    "load",
    "subset",
    "Views",
    "byol",
    "cmae",
    "corrupted",
    "dino",
    "dinov2",
    "evaluation_view",
    "ibot",
    "infomin",
    "mae",
    "moco_v1",
    "moco_v2",
    "msn",
    "multi_crop",
    "ressl",
    "simclr",
    "swav",
    "two_views",
]
