"""Which items, and which parts of scenes, are drawn in which order (train extra)."""
