"""Small published models for the tests: folders with config.json, model.safetensors, the authors' numbers."""

import json
import pickle
import shutil
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

CASES = Path(__file__).parent / "cases"
MODELS = Path(__file__).parents[1] / "models" / "reference"
CONFIGS = {  # of the cases that the encoders' tests share
    "dino_vit": dict(model_type="dino_vit", img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4),
    "mae": dict(
        model_type="mae",
        img_size=32,
        patch_size=8,
        num_heads=4,
        decoder_num_heads=2,
        decoder_depth=1,
        depth=2,
    ),
    "resnet_torchvision": dict(model_type="resnet"),
    "simmim_swin": dict(model_type="simmim_swin", img_size=32, patch_size=2, depths=[2, 2]),
}


def same(got, want, tolerance=2e-5):
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * np.abs(want).max())


def drawn(module, shape=(1, 16, 16, 3), **how):
    """Variables of a network for images of a shape, random everywhere: nothing is compiled for them."""
    shapes = jax.eval_shape(partial(module.init, **how), jax.random.key(0), jnp.zeros(shape))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(0.3 * rng.normal(size=x.shape), x.dtype), shapes)


def case(name: str, place: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A folder as the hub has it, under `place`, and the numbers."""
    folder = place / name
    if name not in CONFIGS:
        shutil.copytree(CASES / name, folder)
        return folder, dict(np.load(folder / "io.npz"))
    folder.mkdir()
    shutil.copy(MODELS / f"{name}.safetensors", folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIGS[name]))
    return folder, dict(np.load(MODELS / f"{name}.npz"))


def channels_last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, -3, -1)


def header_of(path: Path) -> tuple[dict, bytes]:
    """The header of a safetensors file, and what follows it."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_raw(path: Path, header, body: bytes, length: int | None = None) -> None:
    """A safetensors file with any header, true or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + body)


class _Tensor:
    def __init__(self, array):
        self.array = np.ascontiguousarray(array)


def write_pth(path: Path, table, *, legacy: bool = False, monkeypatch) -> None:
    """A `.pth` file as torch writes it, without torch: arrays anywhere in nested tables."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    kinds = {np.float32: "FloatStorage", np.float16: "HalfStorage", np.int64: "LongStorage"}
    for name in kinds.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*_):
        raise AssertionError("only written, never called")

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    storages: dict[str, np.ndarray] = {}

    class Storage:
        def __init__(self, key, array):
            self.key, self.array = key, array

    class Pickler(pickle.Pickler):
        def persistent_id(self, given):
            if not isinstance(given, Storage):
                return None
            kind = getattr(torch, kinds[given.array.dtype.type])
            extra = (None,) if legacy else ()
            return ("storage", kind, given.key, "cpu", given.array.size, *extra)

        def reducer_override(self, given):
            if not isinstance(given, _Tensor):
                return NotImplemented
            key = str(len(storages))
            storages[key] = given.array.reshape(-1)
            strides = tuple(step // given.array.itemsize for step in given.array.strides)
            arguments = (Storage(key, storages[key]), 0, given.array.shape, strides, False, OrderedDict())
            return _rebuild_tensor_v2, arguments

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", utils)
        if legacy:
            with open(path, "wb") as file:
                for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, tensors_in(table)):
                    Pickler(file, protocol=2).dump(part)
                Pickler(file, protocol=2).dump(list(storages))
                for array in storages.values():
                    file.write(struct.pack("<q", array.size) + array.tobytes())
            return
        with zipfile.ZipFile(path, "w") as archive:
            with archive.open("archive/data.pkl", "w") as file:
                Pickler(file, protocol=2).dump(tensors_in(table))
            for key, array in storages.items():
                archive.writestr(f"archive/data/{key}", array.tobytes())


def tensors_in(table):
    if isinstance(table, dict):
        return {name: tensors_in(value) for name, value in table.items()}
    return _Tensor(table) if isinstance(table, np.ndarray) else table
