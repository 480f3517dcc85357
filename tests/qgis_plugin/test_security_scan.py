"""The two scans of the plugin site that block an upload, by the same tools."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PLUGIN = Path(__file__).resolve().parents[2] / "qgis_plugin"


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words, str(PLUGIN)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_bandit_finds_nothing():
    found = json.loads(run("bandit", "-q", "-f", "json", "-r"))
    assert found["errors"] == []
    assert found["results"] == []
    assert found["metrics"]["_totals"]["loc"] > 1000, "it has looked at the plugin"


def test_detect_secrets_finds_nothing():
    assert json.loads(run("detect_secrets", "scan", "--all-files"))["results"] == {}
