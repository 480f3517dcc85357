import pytest

from weft_geo.vector import budget, source, vectorizer


@pytest.fixture
def strip_rows(monkeypatch):
    """Makes every raster of some width go by in strips of so many rows."""

    def use(rows, width):
        monkeypatch.setattr(source, "LOT_PIXELS", rows * width)
        monkeypatch.setattr(budget, "BUDGETS", [budget.Budget(rows * width, 1 << 20)])
        monkeypatch.setattr(vectorizer, "LOT_PIXELS", rows * width)
        monkeypatch.setattr(vectorizer, "LEAST_LOT_PIXELS", 1)

    return use
