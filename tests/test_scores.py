"""Means, refusals, groups, files, and the same answer from several ranks as from one."""

import json
import math

import numpy as np
import pytest
import torch

from scoring.metrics import LISTABLE
from scoring.scoreboard import Scoreboard, intervals
from scoring.scores import Scores

FACTS = {
    f"u{i}": {"speaker": "p1", "noise": ["bus", "cafe"][i % 2], "snr": [12.5, 2.5][i % 2]}
    for i in range(4)
}


def records(count=11):
    rng = np.random.default_rng(0)
    made = [
        {
            "id": f"u{i:02}",
            "pesq": float(rng.uniform(1, 4)),
            "stoi": float(rng.uniform(50, 100)),
            "not_scored": {},
            "snr": [2.5, 12.5][i % 2],
            "word_errors": i % 3,
            "words": 4 + i,
        }
        for i in range(count)
    ]
    made[3] |= {"pesq": None, "not_scored": {"pesq": "no speech found"}}
    return made


def batch(silent=1):
    """Ids, signals, cleans and relative lengths of four utterances; padding is noise."""
    torch.manual_seed(0)
    cleans, lens = torch.randn(4, 8000), torch.tensor([1.0, 0.75, 0.8, 0.9])
    signals = cleans + 0.1 * torch.randn(4, 8000)
    cleans[silent] = 0
    return list(FACTS), signals, cleans, lens


@pytest.fixture(scope="module")
def scores():
    made = Scores()
    yield made
    made.pool.close()


def test_means_leave_refused_out_and_rates_sum_first():
    found = Scoreboard(records()).summary()
    values = [r["pesq"] for r in records() if r["pesq"] is not None]
    assert len(values) == 10 and found["pesq"] == pytest.approx(sum(values) / 10)
    errors, words = (sum(r[key] for r in records()) for key in ("word_errors", "words"))
    assert found["wer"] == pytest.approx(100 * errors / words)
    assert set(found) == {"pesq", "stoi", "wer"}


def test_refused_utterances_are_counted_and_named():
    lines = Scoreboard(records()).not_scored_lines()
    assert lines == ["pesq: 1 of 11 not scored:\n  - u03 (no speech found)"]
    nothing = Scoreboard([{"id": "a", "pesq": None, "not_scored": {"pesq": "silent"}}])
    assert math.isnan(nothing.summary()["pesq"]) and math.isnan(
        intervals(nothing.columns())["pesq"][0]
    )


def test_repeated_utterances_count_once_halves_join_and_order_does_not_matter():
    once = Scoreboard(records())
    assert once.summary() == Scoreboard(records()[::-1] + records()[:5]).summary()
    joined = Scoreboard([{"id": "a", "pesq": 2.0}, {"id": "a", "word_errors": 1, "words": 2}])
    assert joined.summary() == {"pesq": 2.0, "wer": 50.0}


def test_no_reference_has_no_rate_and_is_named():
    board = Scoreboard([{"id": "quiet", "reference": "", "word_errors": 1, "words": 0}])
    assert math.isnan(board.summary()["wer"])
    assert "1 with empty reference:\n  - quiet" in board.table()


def test_groups():
    groups = Scoreboard(records() + [{"id": "z", "pesq": 1.0}]).by("snr")
    low = [r["stoi"] for r in records() if r["snr"] == 2.5]
    assert list(groups) == [2.5, 12.5] and len(groups[2.5].records) == 6
    assert groups[2.5].summary()["stoi"] == pytest.approx(np.mean(low))


def test_interval_holds_the_mean():
    board = Scoreboard(records())
    for name, (low, high) in intervals(board.columns()).items():
        assert low < board.summary()[name] < high


def test_each_utterance_is_scored_without_its_padding(scores):
    ids, signals, cleans, lens = batch()
    scores.begin(["si_sdr", "wer"])
    scores.add_quality(ids, signals, cleans, lens)
    found = scores.collect()
    padded = signals.clone()
    padded[:, -800:] *= 9  # inside the padding of all but the first
    padded[0] = signals[0]
    scores.begin(["si_sdr"])
    scores.add_quality(ids, padded, cleans, lens)
    assert scores.collect() == found and 19 < found["si_sdr"] < 21


def test_files_hold_noise_and_snr_of_each_utterance(scores, tmp_path):
    scores.begin(["si_sdr"])
    scores.add_quality(*batch())
    means = scores.collect({**FACTS, "u3": {"words": "NO FACTS"}, "other": {"snr": 1}})
    scores.write(tmp_path / "new", "test", {"loss": 0.5})
    lines = (tmp_path / "new" / "test_utterances.jsonl").read_text().splitlines()
    written = {record["id"]: record for record in map(json.loads, lines)}
    assert set(written) == set(FACTS) and "snr" not in written["u3"]
    assert written["u0"].items() >= FACTS["u0"].items() and "words" not in written["u3"]
    assert written["u1"]["not_scored"]["si_sdr"].startswith("target is constant")
    stats = (tmp_path / "new" / "test_stats.txt").read_text()
    assert stats.startswith("loss: 0.5000\n4 utterances")
    assert f"si_sdr: {means['si_sdr']:.4f} [" in stats and "1 of 4 not scored:\n  - u1" in stats


def test_stats_hold_means_by_noise_and_by_snr(scores, tmp_path):
    scores.begin(["si_sdr"])
    scores.add_quality(*batch())
    scores.collect(FACTS)
    scores.write(tmp_path, "test")
    words = [line.split() for line in (tmp_path / "test_stats.txt").read_text().splitlines()]
    tables = [row for row in words if row and row[0] in ("noise", "bus", "SNR", "2.5", "12.5")]
    assert [row[:2] for row in tables] == [
        ["SNR", "(dB)"], ["2.5", "2"], ["12.5", "2"], ["noise", "utterances"], ["bus", "2"],
    ]  # fmt: skip
    bus = np.mean([r["si_sdr"] for r in scores.board.records if r["noise"] == "bus"])
    assert float(tables[4][2]) == pytest.approx(bus, abs=1e-3) and tables[2][2] == tables[4][2]


def test_words_are_compared_with_words_and_phones_with_phones(scores):
    scores.begin(["wer", "cer"])
    scores.add_words(["a", "b"], ["ONE", "ONE TWO THREE FOUR"], None, ["TWO", "ONE TWO THREE"])
    assert scores.collect()["wer"] == 40.0 and scores.board.records[0]["hypothesis"] == "TWO"
    scores.begin(["per"])
    scores.add_words(["a"], None, ["K AE T"], ["K AH T"])
    assert scores.collect() == {"per": pytest.approx(100 / 3)}


def test_a_new_pass_begins_empty(scores):
    scores.begin(["si_sdr"])
    scores.add_quality(*batch())  # interrupted before it was collected
    scores.begin(LISTABLE)
    assert scores.collect() == {}


def test_failed_write_leaves_the_old_file(scores, tmp_path):
    scores.board = Scoreboard(records())
    scores.write(tmp_path, "test")
    before = (tmp_path / "test_utterances.jsonl").read_text()
    scores.board = Scoreboard([{"id": "a", "odd": object()}])
    with pytest.raises(TypeError):
        scores.write(tmp_path, "test")
    assert (tmp_path / "test_utterances.jsonl").read_text() == before


def rank_main(rank, world_size, store, out):
    torch.distributed.init_process_group(
        "gloo", f"file://{store}", rank=rank, world_size=world_size
    )
    scores = Scores()
    scores.begin([])
    scores.board = Scoreboard(records()[rank::world_size] + records()[: 2 * rank])
    found = scores.collect({"u00": {"noise": "bus"}})
    known = [r.get("noise") for r in scores.board.records]
    (out / f"{rank}.json").write_text(json.dumps([known, found]))
    torch.distributed.destroy_process_group()


def test_two_ranks_equal_one(tmp_path):
    torch.multiprocessing.spawn(rank_main, (2, tmp_path / "store", tmp_path), nprocs=2)
    single = Scoreboard(records()).summary()
    for rank in range(2):
        known, found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert known == ["bus"] + 10 * [None] and found == pytest.approx(single, abs=1e-9)
