"""``python -m experiments.gpu``: at small scale, and with stand-ins."""

import json

import pytest
from tiny import make_corpus

from experiments import gpu


@pytest.mark.slow
def test_all_stages_are_measured_both_ways(tmp_path, monkeypatch):
    monkeypatch.chdir(gpu.ROOT)  # back from there at the end
    data = f"--data_folder={make_corpus(tmp_path)}"
    for name, (stage, _, options, module) in list(gpu.WORK.items()):
        options = ["--perceptual=filter_bank"] if options == gpu.RANDOM else options
        monkeypatch.setitem(gpu.WORK, name, (stage, "mini", options, module))
    monkeypatch.setattr(gpu, "SIDES", (("plain", 2), [("here", 4)], []))
    gpu.main([f"--output={tmp_path}", data])
    rows = [json.loads(line) for line in (tmp_path / "speed.jsonl").read_text().splitlines()]
    found = [(row["work"], row["side"], row["batch"]) for row in rows]
    assert found == [(w, *s) for w in gpu.WORK for s in (("plain", 2), ("here", 4))] * 2
    for row in rows:
        assert row["rate"] > 0 and row["share"] > 0 and row["launches"] > 100, row
        assert len(row["largest"]) == 5 and row["waits"] == {}, row
    report = (tmp_path / "report.md").read_text()
    assert all(f"| {' | '.join(map(str, key))} |" in report for key in found)


def test_what_fails_is_told_and_the_others_are_measured(tmp_path, monkeypatch):
    class Side:
        def __init__(self, work, side, batch, *_):
            if batch == 64:
                raise RuntimeError("out of memory\nand more")
            self.side, self.batch, self.rates, self.step = side, batch, [], None
            self.seconds = 5 * batch

        def look_inside(self):
            return {"operations": 1e9}

    monkeypatch.setattr(gpu, "Side", Side)
    monkeypatch.setattr(gpu, "timed", lambda *_: 0.5)
    sides = [("plain", 8), ("here", 64), ("here", 16)]
    gpu.measure("stage 1", sides, [], tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "speed.jsonl").read_text().splitlines()]
    assert [row.get("failed") for row in rows] == ["out of memory", None, None]
    assert [row["rate"] for row in rows[1:]] == [80, 160] and rows[2]["against_plain"] == 2
