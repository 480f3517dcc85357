"""What weft-geo does, as Processing algorithms: for toolbox, batches, models, `qgis_process` and the plugin's panel."""
