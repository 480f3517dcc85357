"""Objects that wait on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from affine import Affine

from weft_geo.errors import RunError
from weft_geo.vector import ObjectStream, vectorizer
from weft_geo.vector.spool import Spool

FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


class FullSpool(Spool):
    """On a disk without room."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(FULL, schema)


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectorizer, "Spool", FullSpool)
    probability = np.kron(np.indices((64, 64)).sum(0) % 2, np.ones((4, 4)))[None].astype(np.float32)

    def write() -> None:
        place = {"width": 256, "height": 256, "transform": Affine(1, 0, 3e5, 0, -1, 3e6), "crs": "EPSG:32645"}
        with ObjectStream(tmp_path / "o.gpkg", **place) as objects:
            objects.push(probability)

    with pytest.raises(
        RunError, match=r"objects could not be kept in .dev: No space left on device; is the disk full\?"
    ):
        write()
    assert list(tmp_path.iterdir()) == []
