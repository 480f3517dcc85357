"""What a model file says of itself, read without running it: a session of a large graph takes seconds to build."""

from __future__ import annotations

import json
import struct
from importlib.resources import as_file, files
from pathlib import Path
from typing import BinaryIO

from weft_geo.errors import CheckpointError, ContractError
from weft_geo.geo.access import is_file, why_closed
from weft_geo.geo.contract import METADATA_KEY, ModelContract
from weft_geo.geo.run_files import ADAPTER, ONNX, WHOLE, find_model
from weft_geo.inference.backends import NAMED_MODELS

_LONGEST_HEADER = 100_000_000
_METADATA_PROPS = 14  # the field's number in ONNX's ModelProto


def read_contract(model: str) -> ModelContract:
    """Read the contract of a model by name, of an .onnx file, a .safetensors checkpoint or a run. Torch is not needed.

    Raises:
        UnknownNameError: It is neither a known name nor such a file.
        CheckpointError: The file is missing or is not what its suffix says.
        ContractError: It holds no contract, or one that this version does not know.
    """
    from weft_geo.inference import load_predictor

    path = Path(model) if model in NAMED_MODELS else _in_run(model)
    suffix = path.suffix.lower()
    is_open = is_file(path) and not why_closed(path)
    if model in NAMED_MODELS:
        resource = files("weft_geo.weights").joinpath(NAMED_MODELS[model])
        if resource.is_file():
            with as_file(resource) as file:
                return _read_onnx(file)
    elif is_open and suffix == ".onnx":
        return _read_onnx(path)
    elif is_open and suffix == ".safetensors":
        return ModelContract.from_json(_read_safetensors(path)["contract"])
    return load_predictor(model, device="cpu").contract  # says what is wrong with it


def is_model(path: str) -> bool:
    """Whether it is the name of a model, or of its file, or the folder of a run (some rasters are folders, too)."""
    return path in NAMED_MODELS or _in_run(path).suffix.lower() in (".onnx", ".safetensors")


def read_trunk_hash(model: str) -> str:
    """The SHA-256 of the trunk that an adapter needs; empty for what is whole.

    Raises:
        CheckpointError: The file is not what its suffix says.
    """
    path = _in_run(model)
    has_header = model not in NAMED_MODELS and path.suffix.lower() == ".safetensors"
    return _read_safetensors(path).get("trunk_sha256", "") if has_header else ""


def _in_run(path: str) -> Path:
    """What the folder of a run holds, an adapter without its trunk, too; any other path as it is."""
    return find_model(Path(path), ONNX, WHOLE, ADAPTER) or Path(path)


def _read_safetensors(path: Path) -> dict[str, str]:
    """The file starts with the length of its header (uint64, little-endian) and the header as JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LONGEST_HEADER:
                raise ValueError(f"its header claims {length} bytes")
            header: dict[str, str] = json.loads(file.read(length)).get("__metadata__", {})
    except (struct.error, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from error
    if "contract" not in header:
        raise CheckpointError(f"{path} was not saved by weft-geo: its header holds no contract")
    return header


def _read_onnx(path: Path) -> ModelContract:
    """The file is a protobuf message; its metadata entries are messages of a key (1) and a value (2)."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            while file.tell() < size:
                number, length = _read_field(file)
                if number != _METADATA_PROPS:
                    file.seek(length, 1)
                    continue
                end, entry = file.tell() + length, {}
                while file.tell() < end:
                    key, length = _read_field(file)
                    entry[key] = file.read(length).decode()
                if entry.get(1) == METADATA_KEY:
                    return ModelContract.from_json(entry.get(2, ""))
            if file.tell() != size:
                raise ValueError("it ends early")
    except (ValueError, IndexError) as error:
        if isinstance(error, ContractError):
            raise
        raise CheckpointError(f"{path} is not an ONNX model: {error}") from error
    raise ContractError(f"{path} does not say what it expects; export it with weft-geo export")


def _read_field(file: BinaryIO) -> tuple[int, int]:
    """The number of the next field and the length of what follows; 0 for a plain number, which is read over."""
    tag = _read_varint(file)
    match tag & 7:
        case 0:
            _read_varint(file)
            return tag >> 3, 0
        case 1:
            return tag >> 3, 8
        case 2:
            return tag >> 3, _read_varint(file)
        case 5:
            return tag >> 3, 4
    raise ValueError(f"byte {file.tell()} is no field of a protobuf message")


def _read_varint(file: BinaryIO) -> int:
    value = shift = 0
    while True:
        byte = file.read(1)[0]
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value
