"""The loss of a training run as a curve, drawn while it runs."""

from __future__ import annotations

import re

from qgis.PyQt.QtCore import QPointF, QSize
from qgis.PyQt.QtGui import QPainter, QPen, QPolygonF
from qgis.PyQt.QtWidgets import QWidget

from .translation import tr

_LOSS = re.compile(r"\bloss\b\D{0,3}(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", re.IGNORECASE)


class LossCurve(QWidget):
    """Collects the losses in the messages of a run."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.losses: list[float] = []
        self.setMinimumHeight(90)
        self.hide()

    def clear(self) -> None:
        """Begin anew; hidden until there is something to draw."""
        self.losses = []
        self.hide()

    def hear(self, message: str) -> None:
        """Take the loss out of a message, if it holds one."""
        found = _LOSS.search(message)
        if found:
            self.losses.append(float(found.group(1)))
            self.show()
            self.update()

    def sizeHint(self):  # noqa: N802
        """A small strip."""
        return QSize(200, 90)

    def paintEvent(self, event):  # noqa: N802
        """Draw it, with the first and the last loss beside."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = self.rect().adjusted(6, 18, -6, -6)
        painter.drawRect(area)
        if not self.losses:
            return
        low, high = min(self.losses), max(self.losses)
        across, up = area.width() / max(1, len(self.losses) - 1), area.height() / ((high - low) or 1.0)
        points = [
            QPointF(area.left() + i * across, area.bottom() - (loss - low) * up) for i, loss in enumerate(self.losses)
        ]
        painter.setPen(QPen(self.palette().highlight().color(), 2))
        painter.drawPolyline(QPolygonF(points))
        painter.setPen(self.palette().text().color())
        painter.drawText(
            area.left(), 13, tr("loss {first:.3g} → {last:.3g}", first=self.losses[0], last=self.losses[-1])
        )
