from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from weft_geo_qgis import child
from weft_geo_qgis.child import run_child


def never() -> bool:
    return False


def is_alive(pid: int) -> bool:
    """A process that has ended and was not waited for yet is not alive."""
    if sys.platform == "win32":
        return pytest.importorskip("psutil").pid_exists(pid)
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def run(code: str, is_cancelled=never):
    lines: list[object] = []
    outcome = run_child([sys.executable, "-c", code], lines.append, is_cancelled)
    return outcome, lines


def test_events_text_and_result_come_apart():
    code = (
        "import sys, time; print('result Ä');"
        'sys.stderr.write(\'{"event": "pro\'); sys.stderr.flush(); time.sleep(.2);'
        "sys.stderr.write('gress\"}\\nplain\\nno newline'); sys.exit(3)"
    )
    outcome, lines = run(code)
    assert (outcome.code, outcome.stdout.strip(), outcome.cancelled) == (3, "result Ä", False)
    assert lines == [{"event": "progress"}, "plain", "no newline"]


def test_more_than_a_pipe_holds_does_not_block():
    outcome, lines = run(
        "import sys; print('a' * 300_000); sys.stderr.write('b' * 80 + '\\n') ; sys.stderr.write('c\\n' * 90_000)"
    )
    assert len(outcome.stdout.rstrip()) == 300_000
    assert len(lines) == 90_001


def test_the_child_sees_no_variable_of_qgis(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("GDAL_DATA", "/nowhere")
    outcome, _ = run("import os; print(sorted(set(os.environ) & {'PYTHONHOME', 'GDAL_DATA'}))")
    assert outcome.stdout.strip() == "[]"
    assert os.environ["PYTHONHOME"] == "/nowhere"


@pytest.mark.skipif(sys.platform == "win32", reason="has no sessions")
def test_it_leads_a_group_of_its_own():
    outcome, _ = run("import os; print(os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid())")
    assert outcome.stdout.split() == ["True", "True"]


def test_cancel_asks_and_the_child_may_end_in_peace():
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit('in peace'))\n"
        "print('ready', file=sys.stderr, flush=True)\n"
        "if sys.platform == 'win32': sys.stdin.read(); sys.exit('in peace')\n"
        "while True:\n    time.sleep(0.1)"  # a signal that comes just before a long sleep would wait for its end
    )
    lines: list[object] = []
    began = time.monotonic()
    outcome = run_child([sys.executable, "-c", code], lines.append, lambda: bool(lines))
    assert outcome.cancelled
    assert outcome.code == 1
    assert lines == ["ready", "in peace"]
    assert time.monotonic() - began < child.GRACE_S


def test_the_child_hears_when_this_process_is_gone():
    code = (
        "import subprocess, sys\n"
        "from weft_geo_qgis.child import run_child\n"
        "child = 'import os, sys; print(os.getpid(), file=sys.stderr, flush=True); sys.exit(len(os.read(0, 1)))'\n"
        "run_child([sys.executable, '-c', child], lambda line: print(line, flush=True), lambda: False)"
    )
    search = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=search) as parent:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_who_does_not_listen_is_killed_with_all_that_it_started(monkeypatch):
    monkeypatch.setattr(child, "GRACE_S", 0.5)
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "deaf = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'\n"
        "other = subprocess.Popen([sys.executable, '-c', deaf])\n"
        "print(f'{os.getpid()} {other.pid}', file=sys.stderr, flush=True)\ntime.sleep(60)"
    )
    lines: list[str] = []
    began = time.monotonic()
    outcome = run_child([sys.executable, "-c", code], lines.append, lambda: bool(lines))
    assert outcome.cancelled
    assert outcome.code == (1 if sys.platform == "win32" else -9)
    assert 0.5 <= time.monotonic() - began < 5
    time.sleep(0.2)
    assert not any(is_alive(int(pid)) for pid in lines[0].split())


def test_a_grandchild_that_holds_the_streams_does_not_hold_us():
    code = (
        "import subprocess, sys\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(other.pid, file=sys.stderr)"
    )
    began = time.monotonic()
    outcome, lines = run(code)
    assert outcome.code == 0
    assert time.monotonic() - began < 5
    time.sleep(0.2)
    assert sys.platform == "win32" or not is_alive(int(lines[0]))


def test_a_listener_that_fails_leaves_no_child():
    lines: list[int] = []

    def fail(line: object) -> None:
        lines.append(int(str(line)))
        raise RuntimeError("the listener failed")

    with pytest.raises(RuntimeError, match="the listener failed"):
        run_child(
            [
                sys.executable,
                "-c",
                "import os, sys, time; print(os.getpid(), file=sys.stderr, flush=True); time.sleep(60)",
            ],
            fail,
            never,
        )
    assert not is_alive(lines[0])


def test_no_such_program():
    with pytest.raises(FileNotFoundError):
        run_child(["/nowhere/weft-geo"], print, never)


def test_a_child_that_comes_to_its_end_all_the_same_was_not_cancelled():
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "print('ready', file=sys.stderr, flush=True)\ntime.sleep(.5)\nprint('whole')"
    )
    lines: list[object] = []
    outcome = run_child([sys.executable, "-c", code], lines.append, lambda: bool(lines))
    assert (outcome.code, outcome.stdout.strip(), outcome.cancelled) == (0, "whole", False)


def test_a_relative_path_means_the_same_to_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome, _ = run("import os; print(os.getcwd())")
    assert outcome.stdout.strip() == str(tmp_path)
