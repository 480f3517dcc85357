"""The WEFT model (needs the "train" extra; torch and timm are enough to build and run it).

Names load when they are first used: which models there are, and what shapes them, is known without torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft_geo.models.checkpoint import load_checkpoint, save_checkpoint
    from weft_geo.models.config import WeftConfig, model_names
    from weft_geo.models.official import load_official
    from weft_geo.models.registry import build_model
    from weft_geo.models.segmenter import Segmenter
    from weft_geo.models.weft import Weft

__all__ = [
    "Segmenter",
    "Weft",
    "WeftConfig",
    "build_model",
    "load_checkpoint",
    "load_official",
    "model_names",
    "save_checkpoint",
]

_FILE_OF = {
    "Segmenter": "segmenter",
    "Weft": "weft",
    "WeftConfig": "config",
    "build_model": "registry",
    "load_checkpoint": "checkpoint",
    "load_official": "official",
    "model_names": "config",
    "save_checkpoint": "checkpoint",
}


def is_installed() -> bool:
    """Whether torch and timm are there, without loading them."""
    return all(find_spec(name) is not None for name in ("torch", "timm"))


def __getattr__(name: str) -> Any:
    """Load a public name from its file.

    Raises:
        MissingExtraError: it needs torch or timm, and they are not there.
    """
    if name not in _FILE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _FILE_OF[name] != "config" and not is_installed():
        from weft_geo.errors import MissingExtraError

        raise MissingExtraError("building a model", "train")
    value = getattr(import_module(f"{__name__}.{_FILE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not; without torch those that need none."""
    there = [name for name in __all__ if is_installed() or _FILE_OF[name] == "config"]
    return sorted(set(globals()) | set(there))
