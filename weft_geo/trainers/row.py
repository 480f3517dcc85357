"""A row of a table, trained in a process of its own: `python -m weft_geo.trainers.row FOLDER CONFIGURATION`.

A row is a program rather than a fork, so that its peak memory is its own, and so that Lightning, which starts the
other processes of a parallel run by the same command, starts that row again and not the table.

It tells how it gets on in JSON, a line at a time, and listens: at the line "stop" it saves its step and ends; if the
table's process is gone, killed perhaps, it ends at once, so that the same command can be given again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from weft_geo.datasets.datamodules import is_first_process
from weft_geo.errors import InputError, InterruptedRunError, RunError, WeftGeoError
from weft_geo.progress import Progress
from weft_geo.stdin import take_stdin
from weft_geo.trainers.callbacks import Interruption
from weft_geo.trainers.config import TrainConfig, build_config
from weft_geo.trainers.run_folder import REPORT
from weft_geo.trainers.train import TrainReport, train

_KINDS = (InterruptedRunError, InputError, RunError)  # what an error is to whoever reads the exit code
_STOP = b"stop\n"


def train_apart(config: TrainConfig, folder: Path, progress: Progress) -> TrainReport:
    """Train a row in a process of its own, and wait for it.

    Args:
        config: of the row.
        folder: of its run.
        progress: hears what the row's `train` tells.

    Raises:
        InputError, RunError: what the row's `train` raised.
        InterruptedRunError: this process was interrupted, and the row has saved its step.
    """
    command = [sys.executable, "-P", "-m", __name__, str(folder), config.to_yaml()]
    pipe = subprocess.PIPE
    # A session of its own, so that Ctrl-C reaches this process alone, and the row but once.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as row:
        try:
            told = _listen(row, progress)
        except KeyboardInterrupt:
            _ask_to_stop(row)
            nothing = {
                "kind": InterruptedRunError.__name__,
                "message": f"interrupted, with no step of {folder} to save",
            }
            told = _listen(row, progress) or nothing
    if told:
        raise next(kind for kind in _KINDS if kind.__name__ == told["kind"])(told["message"])
    if row.returncode:
        how = f"was ended by signal {-row.returncode}" if row.returncode < 0 else f"failed with code {row.returncode}"
        raise RunError(f"the process that trains {folder} {how}; run the same command to go on with it")
    return TrainReport(**json.loads((folder / REPORT).read_text(encoding="utf-8")))


def _listen(row: subprocess.Popen[bytes], progress: Progress) -> dict[str, str]:
    """Pass on what a row tells until it ends; what it raised, if it did."""
    assert row.stdout is not None
    raised: dict[str, str] = {}
    for line in row.stdout:
        told = json.loads(line)
        if isinstance(told, dict):
            raised = told
        else:
            progress(*told)
    row.wait()
    return raised


def _ask_to_stop(row: subprocess.Popen[bytes]) -> None:
    assert row.stdin is not None
    with suppress(BrokenPipeError):  # it has ended by itself
        os.write(row.stdin.fileno(), _STOP)


def main() -> None:
    """Train the row that the command line names."""
    folder, config = Path(sys.argv[1]), build_config(yaml.safe_load(sys.argv[2]))
    if not is_first_process():  # of a parallel run; the first one alone speaks and listens
        train(config, folder)
        return
    # What the libraries print must not come between the lines of JSON.
    line = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    interruption = Interruption()
    threading.Thread(target=_obey, args=(take_stdin(), interruption), daemon=True).start()

    def tell(*event: Any) -> None:
        line.write(json.dumps(event) + "\n")

    warnings.showwarning = lambda message, *_: tell("warning", "", 0, 0, str(message))
    try:
        train(config, folder, progress=tell, interruption=interruption)
    except WeftGeoError as error:
        kind = next(kind for kind in _KINDS if isinstance(error, kind))
        line.write(json.dumps({"kind": kind.__name__, "message": str(error)}) + "\n")


def _obey(table: int, interruption: Interruption) -> None:
    """Stop when the table's process says so, and end with it."""
    while os.read(table, len(_STOP)) == _STOP and interruption.is_listening:
        interruption.ask()
    # There is no step to save, or nobody to save it for; what is written is written whole.
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # those that read and train beside this one, too
    os._exit(1)


if __name__ == "__main__":
    main()
