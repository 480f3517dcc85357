from __future__ import annotations

import time

import pytest
from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QEvent

from weft_geo_qgis import options_page
from weft_geo_qgis.errors import InterpreterError, RunCancelled
from weft_geo_qgis.options_page import OptionsFactory


@pytest.fixture
def page(plugin_settings):
    page = OptionsFactory().createWidget(None)
    yield page
    page.deleteLater()


def wait_until_rested(page) -> None:
    end = time.monotonic() + 60
    while page.stop.isEnabled():
        assert time.monotonic() < end
        QgsApplication.processEvents()
        time.sleep(0.01)


def test_it_says_which_one_is_used(page, interpreter):
    assert str(interpreter) in page.state.text()
    assert "set in Settings" in page.state.text()


def test_check_lets_weft_geo_look_at_itself(page):
    page.check.click()
    assert not page.install.isEnabled()
    wait_until_rested(page)
    assert page.state.text() == "All is well."
    assert "+ geospatial" in page.text.toPlainText()
    assert page.install.isEnabled()


def test_check_of_one_that_does_not_start(page, tmp_path):
    page.interpreter.setFilePath(str(tmp_path / "gone"))
    page.check.click()
    wait_until_rested(page)
    assert "gone does not exist" in page.state.text()


def test_install_shows_what_the_installer_says_and_why_it_failed(page, plugin_settings, monkeypatch):
    def fail(folder, package, with_training, on_text, is_cancelled):
        assert folder == plugin_settings.made_environment()
        on_text("Collecting weft-geo\n")
        raise InterpreterError("weft-geo could not be installed: ERROR: no network; mend that and press Install again.")

    monkeypatch.setattr(options_page, "make_environment", fail)
    page.install.click()
    wait_until_rested(page)
    assert page.text.toPlainText() == "Collecting weft-geo\n"
    assert page.state.text().startswith("weft-geo could not be installed: ERROR: no network")


def test_ok_remembers_what_was_set(page, plugin_settings, tmp_path):
    page.interpreter.setFilePath(str(tmp_path / "python3"))
    page.package.setText("/somewhere/weft_geo.whl")
    page.apply()
    assert plugin_settings.chosen_interpreter() == str(tmp_path / "python3")
    assert plugin_settings.package() == "/somewhere/weft_geo.whl"


def test_an_installation_is_used_at_once_although_another_was_set(page, plugin_settings, monkeypatch):
    """Whoever presses Install wants what is installed."""
    monkeypatch.setattr(options_page, "make_environment", lambda *_: None)
    monkeypatch.setattr(options_page, "_doctor", lambda say, is_cancelled: "All is well.")
    page.install.click()
    wait_until_rested(page)
    assert page.state.text().endswith("All is well.")
    assert plugin_settings.chosen_interpreter() == ""
    assert page.interpreter.filePath() == ""


def test_a_page_that_is_opened_again_shows_what_goes_on(plugin_settings, monkeypatch):
    def install(folder, package, with_training, on_text, is_cancelled):
        on_text("Collecting weft-geo\n")
        while not is_cancelled():
            time.sleep(0.01)
        raise RunCancelled("Cancelled; nothing was installed.")

    monkeypatch.setattr(options_page, "make_environment", install)
    factory = OptionsFactory()
    first = factory.createWidget(None)
    first.install.click()
    while not first.text.toPlainText():
        QgsApplication.processEvents()
    first.deleteLater()
    QgsApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    again = factory.createWidget(None)
    assert not again.install.isEnabled()
    assert again.state.text() == "Installing weft-geo …"
    assert again.text.toPlainText() == "Collecting weft-geo\n"
    again.stop.click()
    wait_until_rested(again)
    assert again.state.text() == "Cancelled; nothing was installed."
    assert again.install.isEnabled()
    assert factory.errand is None
    again.deleteLater()


def test_a_check_that_is_cancelled_says_so(page):
    page.check.click()
    page.stop.click()
    wait_until_rested(page)
    assert page.state.text().startswith("Cancelled")
