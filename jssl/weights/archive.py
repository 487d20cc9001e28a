"""Files of named tensors, read lazily and checked: safetensors and npz; `.pth` is in `torch_archive`."""

import json
import math
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from jssl.weights.torch_archive import is_torch_zip, read_torch

HEADER_LIMIT = 100_000_000  # bytes; as safetensors' own reader
DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
CODES = {dtype: code for code, dtype in DTYPES.items()}


class Tensor(NamedTuple):
    """A tensor that is not read yet.

    Args:
        shape: Its shape.
        dtype: As stored.
        read: () -> the array, at best a view of the file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


Archive = dict[str, Tensor]


def read_archive(path: Path) -> tuple[Archive, dict[str, str]]:
    """Lists the tensors of a file; its content tells the format, not its name.

    Args:
        path: A safetensors file, an npz or a torch archive.
    Returns:
        The tensors by name, and the metadata of a safetensors header.
    Raises:
        ValueError: where the file is damaged, or is none of these.
    """
    tensors, metadata = _read(path)
    _check_names(path, tensors)
    return tensors, metadata


def _check_names(path: Path, names: Iterable[str]) -> None:
    for name in names:
        if not name.isprintable() or len(name) > 500:
            raise ValueError(f"{path} names a tensor {ascii(name)[:80]}, which is no name; fetch it again")


def _read(path: Path) -> tuple[Archive, dict[str, str]]:
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if not start:
        raise ValueError(f"{path} is empty; fetch it again")
    if start[4:] == b"\0\0\0\0{":  # a header's length below 4 GB, then JSON
        return _safetensors(path)
    if start.startswith(b"PK\x03\x04"):
        return (_torch(path) if is_torch_zip(path) else _npz(path)), {}
    if start[:1] == b"\x80":
        return _torch(path), {}
    if start.startswith(b"vers"):
        raise ValueError(f"{path} is a pointer of Git LFS, not the weights; fetch the file itself")
    return _safetensors(path)


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Writes arrays as a safetensors file; an older file is replaced only when the new one is complete.

    Args:
        path: The file.
        arrays: By name; one at a time is converted to bytes.
        metadata: Strings for the header.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    order, end = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name)), 0
    for name in order:
        begin, end = end, end + arrays[name].nbytes
        code = CODES[arrays[name].dtype]
        header[name] = {"dtype": code, "shape": list(arrays[name].shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(np.ascontiguousarray(arrays[name]).tobytes())
    partial.replace(path)


def _safetensors(path: Path) -> tuple[Archive, dict[str, str]]:
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if not 2 <= length <= min(HEADER_LIMIT, size - 8):
            raise ValueError(
                f"{path} is no safetensors, npz or torch file, or it is cut off: a header of {length} bytes "
                f"in a file of {size}; fetch it again"
            )
        try:
            header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path} has a header that is no JSON ({_short(error)}); fetch it again"
            ) from None
    if not isinstance(header, dict):
        raise ValueError(f"{path} has a header that is no table of tensors; fetch it again")
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise ValueError(f"{path} has metadata that is no table; fetch it again")
    _check_names(path, header)
    entries = {name: _entry(path, name, entry) for name, entry in header.items()}
    _check_layout(path, entries, size - 8 - length)

    def reader(dtype, shape, begin, end):
        def read():
            data = np.fromfile(path, np.uint8, end - begin, offset=8 + length + begin)
            if data.size != end - begin:
                raise ValueError(f"{path} has become shorter while it was read; fetch it again")
            return data.view(dtype).reshape(shape)

        return read

    tensors = {
        name: Tensor(shape, dtype, reader(dtype, shape, begin, end))
        for name, (dtype, shape, begin, end) in entries.items()
    }
    return tensors, {str(name): str(value) for name, value in metadata.items()}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name stands in it twice")
    return table


def _entry(path: Path, name: str, entry: Any) -> tuple[np.dtype, tuple[int, ...], int, int]:
    def whole(numbers):
        return isinstance(numbers, list) and all(type(n) is int and 0 <= n < 2**63 for n in numbers)

    good = isinstance(entry, dict) and whole(entry.get("shape")) and whole(entry.get("data_offsets"))
    if not good or len(entry["data_offsets"]) != 2 or len(entry["shape"]) > 16:
        raise ValueError(f"{path}: the header's entry of {name} is damaged; fetch the file again")
    if str(entry.get("dtype")) not in DTYPES:
        given, known = ascii(entry.get("dtype"))[:40], ", ".join(DTYPES)
        raise ValueError(f"{path}: {name} is stored as {given}, expected one of {known}")
    dtype, shape, (begin, end) = DTYPES[str(entry["dtype"])], tuple(entry["shape"]), entry["data_offsets"]
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(
            f"{path}: {name} of shape {shape} needs {math.prod(shape) * dtype.itemsize} bytes, "
            f"the header gives it {end - begin}; fetch the file again"
        )
    return dtype, shape, begin, end


def _check_layout(path: Path, entries: Mapping[str, tuple], size: int) -> None:
    """Checks that tensors follow each other without gap or overlap and end where the file ends."""
    place, before = 0, "the header"
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != place:
            raise ValueError(
                f"{path}: {name} begins at byte {begin}, {before} ends at {place}; fetch the file again"
            )
        place, before = end, name
    if place != size:
        raise ValueError(
            f"{path} holds {size} bytes of tensors, its header speaks of {place}; "
            "it is cut off or damaged, fetch it again"
        )


def _npz(path: Path) -> Archive:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            if not names:
                raise ValueError(f"{path} is a zip file without arrays or a torch archive in it")
            shapes = {name: _npy_header(archive, name) for name in names}
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path} is a damaged npz file ({_short(error)}); fetch it again") from None

    def reader(name, dtype, shape):
        def read():
            try:
                with np.load(path, allow_pickle=False) as archive:
                    array = archive[name.removesuffix(".npy")]
            except (ValueError, OSError, EOFError, zipfile.BadZipFile, MemoryError) as error:
                raise ValueError(f"{path}: {name} cannot be read ({_short(error)}); fetch it again") from None
            return array.reshape(shape)

        return read

    return {
        name.removesuffix(".npy"): Tensor(shape, dtype, reader(name, dtype, shape))
        for name, (dtype, shape) in shapes.items()
    }


def _npy_header(archive: zipfile.ZipFile, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    try:
        with archive.open(name) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            read = read if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
    except (ValueError, TypeError, SyntaxError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"npz: {name} has a damaged header ({_short(error)}); fetch the file again"
        ) from None
    if dtype.hasobject or dtype not in CODES:
        raise ValueError(f"npz: {name} is stored as {dtype}, expected numbers; nothing is unpickled")
    info = archive.getinfo(name)
    if math.prod(shape) * dtype.itemsize > info.file_size:
        raise ValueError(f"npz: {name} of shape {shape} is larger than its entry; fetch the file again")
    return dtype, shape


def _torch(path: Path) -> Archive:
    def reader(array):
        return lambda: array

    arrays = read_torch(path)
    return {name: Tensor(array.shape, array.dtype, reader(array)) for name, array in arrays.items()}


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
