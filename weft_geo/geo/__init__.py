"""What a raster is: its grid on the ground, its windows, its values, and what a model expects of them.

Modules, in the order of their dependence: contract, windows, ground, raster, normalize, fit, aoi, cog.
"""
