"""Save and load models: values as safetensors, configuration and contract as JSON in its header; never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from weft_geo.errors import CheckpointError, RunError
from weft_geo.geo.access import cannot_be_looked_into, cannot_be_read, is_file, is_folder, is_there, why_closed
from weft_geo.geo.contract import ModelContract
from weft_geo.geo.run_files import ADAPTER, WHOLE, find_model
from weft_geo.geo.whole_files import written_whole
from weft_geo.models.backbones import TimmTrunk
from weft_geo.models.backbones.timm_vit import load_timm_weights
from weft_geo.models.config import WeftConfig
from weft_geo.models.official import check_fit, config_from_official, convert, load_strictly, load_trunk, unwrap
from weft_geo.models.peft import assemble
from weft_geo.models.segmenter import Segmenter, own_name

FORMAT = "weft-geo checkpoint 1"
CLASS_HEAD = "mask_decoder.class_head."
EMBEDDED = ("embedded", "weft-tiny")
"""Names of the checkpoint that comes with the package, as `predict` knows its ONNX file by."""


def trunk_sha256(model: Segmenter) -> str:
    """SHA-256 over the names and values of the trunk: which trunk an adapter belongs to."""
    digest = hashlib.sha256()
    for key, value in model.trunk_state().items():
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def is_of_trunk(key: str) -> bool:
    """Whether a key of a model's state is one of the trunk's own values, not of what tunes it."""
    return key.startswith("trunk.") and "lora_" not in key


def save_checkpoint(model: Segmenter, path: str | Path, adapter_only: bool = True) -> Path:
    """Write a checkpoint, whole or not at all.

    Args:
        model: what to save.
        path: the file, `*.safetensors`.
        adapter_only: leave out the trunk, if it is frozen, and name it by its hash instead (58 MB, not 1.2 GB, for
            weft-large). A trunk that was trained is always saved.

    Raises:
        RunError: the disk does not take it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = Path(path)
    without_trunk = adapter_only and model.config.trunk_is_frozen
    state = {
        key: value.detach().cpu().contiguous()
        for key, value in model.state_dict().items()
        if not (without_trunk and is_of_trunk(key))
    }
    header = {
        "format": FORMAT,
        "config": json.dumps(asdict(model.config)),
        "contract": model.contract.to_json(),
        "trunk_sha256": trunk_sha256(model) if without_trunk else "",
    }
    with written_whole(target) as beside:
        beside.touch()
        mode = beside.stat().st_mode  # as the user wants it; safetensors makes files that nobody else may read
        try:
            save_file(state, beside, metadata=header)
        except SafetensorError as error:
            raise RunError(f"{target} could not be written: {error}") from error
        beside.chmod(mode)
    return target


def load_checkpoint(path: str | Path, trunk: str | Path | None = None) -> Segmenter:
    """A model from a checkpoint of `save_checkpoint`, in evaluation mode.

    Args:
        path: the checkpoint, the folder of a run, or "embedded" for the one that comes with the package.
        trunk: for an adapter-only checkpoint, the file its trunk is in: the published UniPerceiver checkpoint, or a
            whole checkpoint.

    Raises:
        CheckpointError: the file is no checkpoint, or the trunk is missing, another one than the adapter was trained
            on, or one too many.
    """
    path = in_run(Path(path))
    state, header = _read(path)
    model = assemble(WeftConfig(**json.loads(header["config"])), ModelContract.from_json(header["contract"]))
    expected = header["trunk_sha256"]
    if trunk is not None and not expected:
        raise CheckpointError(f"{path} holds its own trunk and needs no other; leave out {trunk}")
    if expected:
        if trunk is None:
            raise CheckpointError(
                f"{path} holds the adapter only; give the trunk it was trained on (SHA-256 {expected[:12]}…) with it; "
                "weft-geo export --trunk makes one file of both, which predict runs"
            )
        load_weights(model, trunk, trunk_only=True)
        if trunk_sha256(model) != expected:
            raise CheckpointError(
                f"{trunk} is not the trunk that {path} was trained on: "
                f"SHA-256 {trunk_sha256(model)[:12]}…, expected {expected[:12]}…"
            )
        state = state | {k: v for k, v in model.state_dict().items() if is_of_trunk(k)}
    load_strictly(model, state)
    return model.eval()


def load_weights(model: Segmenter, path: str | Path, *, trunk_only: bool = False, fresh_classes: bool = False) -> None:
    """Fill a model from a file: our checkpoint, the research code's, or a published checkpoint of the trunk alone.

    Args:
        model: what to fill, in place.
        path: `*.safetensors` of ours or the folder of its run, a `.pth` of theirs (read without running any code from
            it), for a trunk of timm any file that timm reads or "pretrained" for the weights it downloads; or
            `https://…#sha256=HEX` of any of these, which is fetched once and held against its hash.
        trunk_only: take the trunk alone from a checkpoint of a whole model.
        fresh_classes: where the file is of a model with another number of classes, leave the model's class head as it
            is.

    Raises:
        CheckpointError: the file cannot be read or does not fit.
    """
    is_word = str(path) == "pretrained" and isinstance(model.trunk, TimmTrunk)  # there may be a folder of that name
    file = Path(path) if is_word else fetch(path)
    if isinstance(model.trunk, TimmTrunk) and not _is_ours(file):
        load_timm_weights(model.trunk, file)
        return
    if file.suffix == ".safetensors":
        state, _ = _read(file)
    else:
        raw = unwrap(_torch_load(file))
        if not any(key.startswith("decode_head.") for key in raw):
            load_trunk(model, raw)
            return
        config_from_official(raw, {})  # says what is missing, should it be no whole model
        state = convert(raw)
    trunk = {own_name(k.removeprefix("trunk.")): v for k, v in state.items() if is_of_trunk(k)}
    if trunk_only or model.config.strategy != "weft":
        check_fit(model.trunk_state(), trunk)
        model.load_trunk_state(trunk)
    if trunk_only:
        return
    if model.config.strategy != "weft" and set(state) != set(model.state_dict()):
        return  # the file is of another strategy: its trunk is what they share
    if fresh_classes:
        own = {key: value for key, value in model.state_dict().items() if key.startswith(CLASS_HEAD)}
        state |= {key: value for key, value in own.items() if key in state and state[key].shape != value.shape}
    load_strictly(model, _grow_bands(model, state))


def fetch(path: str | Path) -> Path:
    """A local path, or the checkpoint in it if it is a run; a URL as the path of its download, kept beside torch's.

    Raises:
        CheckpointError: the URL names no hash, cannot be had, or what comes has another hash.
    """
    address, _, digest = str(path).partition("#sha256=")
    if "://" not in address:
        return in_run(Path(path))
    if len(digest) != 64:
        raise CheckpointError(f"{address} comes without its hash; give it as URL#sha256=<64 hexadecimal digits>")
    kept = Path(torch.hub.get_dir()) / "checkpoints" / f"{digest[:16]}-{address.rpartition('/')[2]}"
    if not is_file(kept):
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(address, str(kept), hash_prefix=digest.lower(), progress=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{address} could not be fetched: {error}") from error
    return kept


def in_run(path: Path) -> Path:
    """The checkpoint in the folder of a run, or that comes with the package under a name; any other path as it is.

    Raises:
        CheckpointError: the folder has none yet.
    """
    if str(path) in EMBEDDED and not is_there(path):
        return Path(str(files("weft_geo.weights") / "weft-tiny.safetensors"))
    if not is_folder(path):
        return path
    if found := find_model(path, WHOLE, ADAPTER):
        return found
    if hindrance := cannot_be_looked_into(path):
        raise CheckpointError(f"the folder {path} {hindrance}")
    raise CheckpointError(f"{path} holds no model.safetensors; let the run end, or give a checkpoint")


def _grow_bands(model: Segmenter, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Let the two layers that read the image grow from RGB weights, where the model has more bands (timm's rule)."""
    from timm.models import adapt_input_conv

    bands = model.config.in_channels
    for key in ("trunk.patch_embed.weight", "expert_extractor.stem.0.weight"):
        if key in state and state[key].shape[1] == 3 < bands:
            state[key] = adapt_input_conv(bands, state[key])
    return state


def _is_ours(path: Path) -> bool:
    """Whether a file was written by `save_checkpoint`."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors" or not is_file(path) or why_closed(path):
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except SafetensorError:
        return False


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    _require_file(path, "*.safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a {FORMAT}: its header says {header.get('format')!r}")
    return state, header


def _require_file(path: Path, kind: str) -> None:
    if hindrance := cannot_be_read(path):
        raise CheckpointError(f"{path} {hindrance}")
    if not is_file(path):
        raise CheckpointError(f"{path} is not a file; expected a checkpoint ({kind})")
    if path.suffix.lower() == ".onnx":
        raise CheckpointError(f"{path} is an ONNX model; give the checkpoint that it was exported from ({kind})")


def _torch_load(path: Path) -> Mapping[str, Any]:
    _require_file(path, ".pth")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling fails in many ways; each of them means the same
        raise CheckpointError(
            f"{path} cannot be read as tensors only ({type(error).__name__}: {str(error).split('. ')[0]})"
        ) from error
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f"{path} holds a {type(checkpoint).__name__}, expected a state dict")
    return checkpoint
