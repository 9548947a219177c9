"""``python -m experiments.gpu``: at small scale, and with stand-ins."""

import json

import pytest
from tiny import make_corpus

from experiments import gpu


@pytest.mark.slow
def test_all_stages_are_measured_both_ways(tmp_path, monkeypatch):
    monkeypatch.chdir(gpu.ROOT)  # back from there at the end
    data = f"--data_folder={make_corpus(tmp_path)}"
    for name, (stage, _, options) in list(gpu.WORK.items()):
        options = ["--perceptual=filter_bank"] if options == gpu.RANDOM else options
        monkeypatch.setitem(gpu.WORK, name, (stage, "mini", options))
    monkeypatch.setattr(gpu, "SIDES", [("plain", 2), ("here", 4)])
    gpu.main([f"--output={tmp_path}", data])
    rows = [json.loads(line) for line in (tmp_path / "speed.jsonl").read_text().splitlines()]
    found = [(row["work"], row["side"], row["batch"]) for row in rows]
    assert found == [(w, *s) for w in gpu.WORK for s in gpu.SIDES]
    for row in rows:
        assert row["rate"] > 0 and row["launches"] > 100, row
        assert row["waits"] == {}, row
    report = (tmp_path / "report.md").read_text()
    assert all(f"| {' | '.join(map(str, key))} |" in report for key in found)


def test_what_fails_is_told_and_the_others_are_measured(tmp_path, monkeypatch):
    def measured(work, side, batch, options):
        if batch == 64:
            raise RuntimeError("out of memory\nand more")
        return {"rate": 10 * batch}

    monkeypatch.chdir(gpu.ROOT)  # back from there at the end
    monkeypatch.setattr(gpu, "WORK", {"stage 1": ()})
    monkeypatch.setattr(gpu, "SIDES", [("plain", 8), ("here", 64), ("here", 16)])
    monkeypatch.setattr(gpu, "measured", measured)
    gpu.main([f"--output={tmp_path}"])
    rows = [json.loads(line) for line in (tmp_path / "speed.jsonl").read_text().splitlines()]
    assert [row.get("failed") for row in rows] == [None, "out of memory", None]
    assert [row.get("against_plain") for row in rows] == [1, None, 2]
