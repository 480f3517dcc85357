"""Training a Weft: matching, losses, optimizer, and the Lightning task (needs the "train" extra)."""
