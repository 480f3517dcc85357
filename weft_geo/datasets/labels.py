"""What the numbers of a label map mean."""

from __future__ import annotations

BACKGROUND = 0
"""Object classes are 1, 2, …"""

IGNORE = 255
"""Nothing is known of the pixel: it takes no part in training or scoring."""
