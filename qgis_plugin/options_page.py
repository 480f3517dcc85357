"""The page in QGIS' options: which weft-geo is used, and a button that installs one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qgis.core import QgsApplication, QgsProcessingFeedback, QgsTask
from qgis.gui import QgsFileWidget, QgsOptionsPageWidget, QgsOptionsWidgetFactory
from qgis.PyQt.QtCore import QEventLoop, pyqtSignal
from qgis.PyQt.QtGui import QFontDatabase, QIcon, QTextCursor
from qgis.PyQt.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QLineEdit, QPlainTextEdit, QPushButton, QVBoxLayout

from . import places
from .algorithms.base import ICON
from .child import run_child
from .errors import PluginError
from .install import make_environment
from .run import current_interpreter, run_weft_geo
from .translation import tr

_BROKE_OFF = tr("It broke off: View ▸ Panels ▸ Log Messages says why.")
PAGE = "WeftGeoOptions"
"""What QGIS finds the page by."""


class Errand(QgsTask):
    """Something that takes a while and says lines meanwhile.

    Args:
        title: What the task is called.
        work: Is given where to say lines, and the question whether to stop. What it returns is the last word.
    """

    said = pyqtSignal(str)
    ended = pyqtSignal(str)

    def __init__(self, title: str, work: Callable[[Callable[[str], None], Callable[[], bool]], str]) -> None:
        super().__init__(title, QgsTask.Flag.CanCancel)
        self.text = ""
        self._work = work
        self._last_word = ""

    def run(self):
        """In the background."""
        try:
            self._last_word = self._work(self._say, self.isCanceled)
        except PluginError as error:
            self._last_word = str(error)
        except OSError as error:
            self._last_word = f"{error.strerror}: {error.filename}."
        return True

    def finished(self, result):
        """In the window's thread."""
        self.ended.emit(self._last_word or (tr("Cancelled.") if self.isCanceled() else _BROKE_OFF))

    def _say(self, text: str) -> None:
        self.text += text
        self.said.emit(text)


class OptionsPage(QgsOptionsPageWidget):
    """The page. It may be closed while an errand goes on, and shows it when it is opened again.

    Args:
        errands: Keeps the errand.
        parent: The widget above.
    """

    def __init__(self, errands: OptionsFactory, parent: Any = None) -> None:
        super().__init__(parent)
        self._errands = errands
        self.setObjectName(PAGE)
        self.interpreter = QgsFileWidget()
        self.interpreter.setFilePath(places.chosen_interpreter())
        self.interpreter.lineEdit().setPlaceholderText(tr("found by itself"))
        self.package = QLineEdit(places.package())
        self.package.setToolTip(tr("A name with a version, a wheel, or the folder of a clone"))
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.install = QPushButton(tr("Install"))
        self.install_training = QPushButton(tr("Install with training (torch, several GB)"))
        self.check = QPushButton(tr("Check"))
        self.stop = QPushButton(tr("Cancel"))
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        form = QFormLayout()
        form.addRow(tr("Python or weft-geo"), self.interpreter)
        form.addRow(tr("Install from"), self.package)
        buttons = QHBoxLayout()
        for button in (self.install, self.install_training, self.check, self.stop):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addWidget(
            QLabel(
                tr(
                    "weft-geo runs in a Python of its own. Install makes one in your QGIS profile; "
                    "nothing else on this computer changes."
                )
            )
        )
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.state)
        layout.addWidget(self.text)
        self.install.clicked.connect(lambda: self._install(False))
        self.install_training.clicked.connect(lambda: self._install(True))
        self.check.clicked.connect(self._check)
        self.stop.clicked.connect(self._cancel)
        if errands.errand is not None:
            self._follow(errands.errand)
        else:
            self._rest("")
            self._say_which()

    def apply(self):
        """OK was pressed."""
        places.choose_interpreter(self.interpreter.filePath())
        if self.package.text().strip() != places.package():
            places.choose_package(self.package.text())

    def _say_which(self) -> None:
        try:
            found = current_interpreter()
            self.state.setText(tr("Used now: {command} ({origin}).", command=found.command[0], origin=found.origin))
        except PluginError as error:
            self.state.setText(str(error))

    def _install(self, with_training: bool) -> None:
        folder, package = places.made_environment(), self.package.text().strip() or places.package()

        def work(say: Callable[[str], None], is_cancelled: Callable[[], bool]) -> str:
            make_environment(folder, package, with_training, say, is_cancelled)
            places.choose_interpreter("")  # whoever presses Install wants what is installed
            return " ".join((tr("Installed in {folder}.", folder=folder), _doctor(say, is_cancelled)))

        self.apply()
        self._begin(tr("Installing weft-geo"), work)

    def _check(self) -> None:
        self.apply()
        self._begin(tr("Checking weft-geo"), _doctor)

    def _begin(self, title: str, work: Callable[[Callable[[str], None], Callable[[], bool]], str]) -> None:
        errand = Errand(title, work)
        self._follow(errand)
        self._errands.start(errand)

    def _follow(self, errand: Errand) -> None:
        for button in (self.install, self.install_training, self.check):
            button.setEnabled(False)
        self.stop.setEnabled(True)
        self.state.setText(f"{errand.description()} …")
        errand.said.connect(self._add)
        errand.ended.connect(self._rest)
        self.text.setPlainText(errand.text)

    def _add(self, text: str) -> None:
        self.text.moveCursor(QTextCursor.MoveOperation.End)
        self.text.insertPlainText(text)
        self.text.ensureCursorVisible()

    def _cancel(self) -> None:
        if self._errands.errand is not None:
            self._errands.errand.cancel()

    def _rest(self, text: str) -> None:
        for button in (self.install, self.install_training, self.check):
            button.setEnabled(True)
        self.stop.setEnabled(False)
        self.interpreter.setFilePath(places.chosen_interpreter())
        self.state.setText(text)


def _doctor(say: Callable[[str], None], is_cancelled: Callable[[], bool]) -> str:
    """Let weft-geo look at itself; the last word is the first thing that is broken, or that all is well."""
    interpreter = current_interpreter()
    # It says in a sentence if it does not start at all.
    run_weft_geo(["--help"], QgsProcessingFeedback(False), keep_log=False)
    lines: list[str] = []

    def hear(text: str) -> None:
        lines.append(text)
        say(text)

    command = [*interpreter.command, "doctor"]
    outcome = run_child(command, lambda line: hear(f"{line}\n"), is_cancelled, on_output=hear, cwd=places.home())
    bad = next((line[2:].strip() for line in "".join(lines).splitlines() if line.startswith("x ")), "")
    if outcome.cancelled:
        return tr("Cancelled.")
    if outcome.code and not bad:
        bad = tr("it ended with code {code}", code=outcome.code)
    return tr("Not well: {bad}.", bad=bad) if bad else tr("All is well.")


class OptionsFactory(QgsOptionsWidgetFactory):
    """Gives QGIS the page, and keeps what the page has started. One errand at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.setTitle("weft-geo")
        self.errand: Errand | None = None

    def start(self, errand: Errand) -> None:
        """Start an errand."""
        self.errand = errand
        errand.ended.connect(self._forget)
        QgsApplication.taskManager().addTask(errand)

    def end(self) -> None:
        """Stop the errand, if there is one, and wait until it has."""
        if self.errand is not None:
            loop = QEventLoop()
            self.errand.ended.connect(loop.quit)
            self.errand.cancel()
        if self.errand is not None:  # one that still waits for its turn has ended by now
            loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)

    def _forget(self) -> None:
        self.errand = None

    def icon(self):
        """The plugin's."""
        return QIcon(str(ICON))

    def createWidget(self, parent):  # noqa: N802
        """The page."""
        return OptionsPage(self, parent)
