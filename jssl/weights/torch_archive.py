"""`.pth` files: their tensors are read, with or without torch, and nothing else is unpickled."""

import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

STORAGES = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}
BESIDE = {  # what training scripts save beside the weights
    *("optimizer", "optimizers", "opt", "scaler", "fp16_scaler", "amp", "lr_scheduler", "scheduler"),
    *("dino_loss", "ibot_loss", "loss", "args", "config", "epoch", "iteration", "meters", "rng"),
}


def is_torch_zip(path: Path) -> bool:
    """Whether a zip file is a torch archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ValueError(f"{path} is a damaged zip file ({error}); fetch it again") from None


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a `.pth` file, nested names joined by dots, through torch where it is installed.

    Args:
        path: The file.
    Returns:
        Arrays by name, views of the mapped file at best; what training saves beside weights is left out.
    Raises:
        ValueError: where the file is damaged or asks for anything but tensors.
    """
    try:
        import torch
    except ImportError:
        found = _read_own(path)
    else:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged or hostile file
            raise ValueError(f"{path} is not read: {' '.join(str(error).split())[:160]}") from None
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} holds no table of tensors but {type(found).__name__}")
    arrays = _flat({name: value for name, value in found.items() if name not in BESIDE}, "", 0)
    if not arrays:
        raise ValueError(f"{path} holds no tensors")
    return arrays


def _flat(table: Mapping[Any, Any], prefix: str, depth: int) -> dict[str, np.ndarray]:
    if depth > 8:
        raise ValueError(f"a .pth file nests its tables deeper than 8 levels, at {prefix[:80]}")
    arrays: dict[str, np.ndarray] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            arrays |= _flat(value, f"{prefix}{name}.", depth + 1)
        elif isinstance(value, np.ndarray):
            arrays[f"{prefix}{name}"] = value
        elif hasattr(value, "detach"):
            arrays[f"{prefix}{name}"] = _numpy(value)
    return arrays


def _numpy(tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        import torch

        return tensor.view(dtype=torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _read_own(path: Path) -> Any:
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        return _read_legacy(path)
    except ValueError:
        raise
    except Exception as error:  # whatever a damaged or hostile stream makes the pickle machine do
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ValueError(f"{path} is damaged or holds more than tensors: {reason}") from None


def _read_zip(path: Path) -> Any:
    data = np.memmap(path, np.uint8, "r")
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        stream = next(name for name in entries if name.endswith("data.pkl"))
        root = stream.removesuffix("data.pkl")
        if entries[stream].file_size > 100_000_000:
            raise ValueError(f"{path}: its table of tensors has {entries[stream].file_size} bytes, too many")
        if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
            raise ValueError(f"{path} is stored big-endian; save it again on a little-endian machine")

        def storage(kind, key, count):
            info = entries.get(f"{root}data/{key}")
            if (
                info is None
                or info.compress_type != zipfile.ZIP_STORED
                or info.file_size < count * kind.itemsize
            ):
                raise ValueError(f"{path}: the storage {key!r} is missing, compressed or cut off")
            name_length, extra_length = struct.unpack_from("<HH", data, info.header_offset + 26)
            begin = info.header_offset + 30 + name_length + extra_length
            return data[begin : begin + count * kind.itemsize].view(kind)

        with archive.open(stream) as file:
            return _Tensors(file, path, storage).load()


def _read_legacy(path: Path) -> Any:
    """Files of torch before 1.6: a magic number, the table, the names of the storages, then their numbers."""
    data = np.memmap(path, np.uint8, "r")
    wanted: dict[str, np.ndarray] = {}

    def storage(kind, key, count):
        if count * kind.itemsize > data.size:
            raise ValueError(f"{path}: the storage {key!r} is larger than the file")
        return wanted.setdefault(key, np.zeros(count, kind))

    with open(path, "rb") as file:
        magic, _, _ = (_Tensors(file, path, storage).load() for _ in range(3))
        if magic != 0x1950A86A20F9469CFC6C:
            raise ValueError(f"{path} is a pickle, not a torch file; nothing is unpickled")
        table = _Tensors(file, path, storage).load()
        for key in _Tensors(file, path, storage).load():
            (count,) = struct.unpack("<q", file.read(8))
            if key not in wanted or count != wanted[key].size:
                raise ValueError(f"{path}: the storage {key!r} has another size than its tensors say")
            wanted[key][:] = np.frombuffer(file.read(wanted[key].nbytes), wanted[key].dtype)
    return table


class _Tensors(pickle.Unpickler):
    """An unpickler that knows only the globals of tensors and ordered dicts, and refuses all others."""

    def __init__(self, file, path, storage):
        super().__init__(file, encoding="utf-8")
        self.path, self.storage = path, storage

    def find_class(self, module, name):
        if module in ("torch", "torch.storage") and name in STORAGES:
            return STORAGES[name]
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "Size"): tuple,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }
        if (module, name) not in known:
            raise ValueError(
                f"{self.path} asks for {module}.{name}, which is no tensor; it is not unpickled. "
                "Where you trust the file, open it in torch and save its state dict alone"
            )
        return known[module, name]

    def persistent_load(self, saved):
        if not (isinstance(saved, tuple) and len(saved) >= 5 and saved[0] == "storage"):
            raise ValueError(f"{self.path} refers to something that is no storage")
        _, kind, key, _, count = saved[:5]
        if not isinstance(kind, np.dtype) or type(count) is not int or count < 0:
            raise ValueError(f"{self.path}: the storage {key!r} is damaged")
        return self.storage(kind, str(key), count)


def _tensor(storage, offset, shape, strides, *_):
    shape, strides = tuple(shape), tuple(strides)
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, np.ndarray) or len(shape) != len(strides) or min(numbers) < 0:
        raise ValueError("a tensor of the .pth file is damaged")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) == 0:
        return np.zeros(shape, storage.dtype)
    if last >= storage.size or math.prod(shape) > storage.size:
        raise ValueError(f"a tensor of shape {shape} reaches beyond its storage of {storage.size} numbers")
    steps = tuple(step * storage.itemsize for step in strides)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)


def _parameter(data, *_):
    return data
