"""How good probability maps are, against masks (metrics extra; with a checkpoint, the train extra)."""
