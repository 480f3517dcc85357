"""What a raster is: its grid on the ground, its windows, its values, and what a model expects of them.

ARCHITECTURE.md says which module holds what.
"""
