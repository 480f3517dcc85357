import pytest

from weft_geo_cli.progress import Console


@pytest.fixture
def console():
    made = Console()
    made.mode = "bar"
    return made


def test_the_bar_grows_and_goes_away(console, capsys):
    console.progress("start", "predict", 0, 4, "")
    for done in range(5):
        console.progress("progress", "predict", done, 4, "")
    console.note("done")
    err = capsys.readouterr().err
    assert "predict [------------------------------] 0/4" in err
    assert "predict [##############################] 4/4" in err
    assert err.endswith("\r \rdone\n".replace(" ", " " * len(err.rsplit("\r", 2)[1])))


def test_quick_steps_are_not_all_drawn(console, capsys):
    console.progress("start", "predict", 0, 10_000, "")
    for done in range(10_001):
        console.progress("progress", "predict", done, 10_000, "")
    assert capsys.readouterr().err.count("\r") < 100


def test_an_empty_run_draws_no_bar(console, capsys):
    console.progress("start", "predict", 0, 0, "")
    console.progress("progress", "predict", 0, 0, "")
    console.progress("done", "predict", 0, 0, "")
    assert capsys.readouterr().err == ""


def test_a_quiet_console_keeps_errors(console, capsys):
    console.verbosity = -1
    console.progress("progress", "predict", 1, 1, "")
    console.warn("careful")
    console.note("hello")
    assert capsys.readouterr().err == ""
    console.error("no\nway")
    assert capsys.readouterr().err == "weft-geo: no way\n"
