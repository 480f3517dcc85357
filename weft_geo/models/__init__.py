"""The WEFT model (needs the "train" extra; torch and timm are enough to build and run it)."""

try:
    import timm  # noqa: F401
    import torch  # noqa: F401
except ImportError as error:
    from weft_geo.errors import MissingExtraError

    raise MissingExtraError("building a model", "train") from error

from weft_geo.models.checkpoint import load_checkpoint, save_checkpoint
from weft_geo.models.config import WeftConfig
from weft_geo.models.official import load_official
from weft_geo.models.registry import build_model, model_names
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
