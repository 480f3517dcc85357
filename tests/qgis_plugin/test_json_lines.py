from __future__ import annotations

import json

import pytest

from weft_geo_qgis.json_lines import JsonLines, Pace

EVENTS = [
    {"event": "start", "stage": "predict", "done": 0, "total": 3, "message": "512 × 512 px, Größe Ä 中"},
    {"event": "progress", "stage": "predict", "done": 2, "total": 3, "message": ""},
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 4096])
def test_lines_are_whole_in_whatever_pieces_they_come(size):
    data = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in EVENTS).encode()
    lines = JsonLines()
    found = [line for start in range(0, len(data), size) for line in lines.feed(data[start : start + size])]
    assert found == EVENTS
    assert lines.finish() == []


def test_what_is_no_event_is_text():
    lines = JsonLines()
    assert lines.feed(b'Traceback\r\n\n[1, 2]\n{"a": 1}\n\xff\xfe\n{"event": 3}\nend') == [
        "Traceback",
        "[1, 2]",
        '{"a": 1}',
        "\ufffd\ufffd",
        '{"event": 3}',
    ]
    assert lines.finish() == ["end"]


def test_time_left_follows_the_pace_since_the_first_step():
    pace = Pace()
    assert pace.time_left("predict", 0, 10, 0.0) == ""
    assert pace.time_left("predict", 2, 10, 4.0) == "16 s left"
    assert pace.time_left("predict", 10, 10, 20.0) == ""
    assert pace.time_left("write", 0, 1000, 20.0) == ""
    assert pace.time_left("write", 1, 1000, 21.0) == "17 min left"
    assert pace.time_left("write", 2, 10_000, 22.0) == "2.8 h left"
