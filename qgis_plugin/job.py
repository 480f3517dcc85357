"""An algorithm as a background task of QGIS: what the panel starts. The window stays free while it runs."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsApplication,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
)
from qgis.PyQt.QtCore import QEventLoop, QObject, pyqtSignal

from .errors import CANCELLED
from .translation import tr


class JobFeedback(QgsProcessingFeedback):
    """Passes on what a run says, from its thread to the window's."""

    said = pyqtSignal(str)
    told = pyqtSignal(str)

    def __init__(self) -> None:
        super().__init__(False)
        self.problem = ""
        self.warnings: list[str] = []

    def setProgressText(self, text):  # noqa: N802
        """What is going on now."""
        super().setProgressText(text)
        self.said.emit(text)

    def pushInfo(self, info):  # noqa: N802
        """A message of the run."""
        super().pushInfo(info)
        self.told.emit(info)

    def pushWarning(self, warning):  # noqa: N802
        """What deserves a look."""
        super().pushWarning(warning)
        self.warnings.append(warning)

    def reportError(self, error, fatalError=False):  # noqa: N802
        """Why the run failed."""
        super().reportError(error, fatalError)
        self.problem = error


class Job(QObject):
    """One run of an algorithm.

    Args:
        algorithm: Its id.
        parameters: Its parameters.
        title: What the task is called.
    """

    done = pyqtSignal(dict)
    failed = pyqtSignal(str)
    cancelled = pyqtSignal()

    def __init__(self, algorithm: str, parameters: dict[str, Any], title: str) -> None:
        super().__init__()
        self.feedback = JobFeedback()
        self._context = QgsProcessingContext()
        self._context.setProject(QgsProject.instance())
        self._context.setFeedback(self.feedback)
        self._algorithm = QgsApplication.processingRegistry().createAlgorithmById(algorithm)
        self._parameters = parameters
        self._title = title
        self._task: QgsProcessingAlgRunnerTask | None = None

    def start(self) -> None:
        """Start it; one of the signals tells how it ended."""
        fits, problem = self._algorithm.checkParameterValues(self._parameters, self._context)
        if not fits:
            self.failed.emit(problem)
            return
        self._task = QgsProcessingAlgRunnerTask(self._algorithm, self._parameters, self._context, self.feedback)
        self._task.setDescription(self._title)
        self._task.executed.connect(self._finish)
        self._task.taskTerminated.connect(self._terminate)
        QgsApplication.taskManager().addTask(self._task)

    def cancel(self) -> None:
        """Ask it to stop."""
        self.feedback.cancel()

    def wait(self) -> None:
        """Wait until it has ended. QGIS still uses what a job holds, which is not to be let go before."""
        loop = QEventLoop()
        for end in (self.done, self.failed, self.cancelled):
            end.connect(loop.quit)
        if self._task is not None:
            loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)

    def _finish(self, succeeded: bool, results: dict) -> None:
        if succeeded and self._task is not None:
            self._task = None
            self.done.emit(results)
        else:
            self._terminate()

    def _terminate(self) -> None:
        if self._task is None:
            return
        self._task = None
        problem = self.feedback.problem
        if problem == CANCELLED or (not problem and self.feedback.isCanceled()):
            self.cancelled.emit()
        else:
            self.failed.emit(problem or tr("The run ended without a word: open the log."))
