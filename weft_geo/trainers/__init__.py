"""Training a Weft: matching, losses, optimizer, and the Lightning task (needs the "train" extra)."""

try:
    import jsonargparse  # noqa: F401
    import yaml  # noqa: F401
except ImportError as error:
    from weft_geo.errors import MissingExtraError

    raise MissingExtraError("training", "train") from error
