"""Training a Weft: matching, losses, optimizer, and the Lightning task (needs the "train" extra)."""

from importlib.util import find_spec

if not all(find_spec(name) is not None for name in ("jsonargparse", "yaml", "torch", "timm", "lightning")):
    from weft_geo.errors import MissingExtraError

    raise MissingExtraError("training", "train")
