"""How good probability maps are, against masks (metrics extra; with a checkpoint, the train extra)."""

import sys

SOD_INSTEAD = (
    "PySODMetrics asks for a scikit-image that is not built for Python 3.14 yet: use Python 3.11 to 3.13, or, with a C "
    "compiler, pip install pysodmetrics"
    if sys.version_info >= (3, 14)
    else None
)
"""What to do where the metrics extra does not bring PySODMetrics; None where it does."""
