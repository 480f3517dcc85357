"""Scenes and their truth: procedural ones without torch, and the training sets (train extra)."""
