"""Means, refusals, groups, files, and the same answer from several ranks as from one."""

import json
import math

import numpy as np
import pytest
import torch.distributed
import torch.multiprocessing

from scoring.scoreboard import Scoreboard, gather_records


def records(count=11):
    rng = np.random.default_rng(0)
    made = [
        {
            "id": f"u{i:02}",
            "pesq": float(rng.uniform(1, 4)),
            "stoi": float(rng.uniform(50, 100)),
            "not_scored": {},
            "snr": [2.5, 12.5][i % 2],
            "noise": ["bus", "cafe"][i % 2],
            "word_errors": i % 3,
            "words": 4 + i,
        }
        for i in range(count)
    ]
    made[3] |= {"pesq": None, "not_scored": {"pesq": "no speech found"}}
    return made


def board(entries):
    made = Scoreboard()
    made.merge(entries)
    return made


def test_means_leave_refused_out_and_rates_sum_first():
    found = board(records()).summary()
    scores = [r["pesq"] for r in records() if r["pesq"] is not None]
    assert len(scores) == 10 and found["pesq"] == pytest.approx(sum(scores) / 10)
    errors, words = (sum(r[key] for r in records()) for key in ("word_errors", "words"))
    assert found["wer"] == pytest.approx(100 * errors / words)
    assert set(found) == {"pesq", "stoi", "wer"}


def test_refused_utterances_are_counted_and_named():
    made = board(records())
    assert made.not_scored() == {"pesq": (1, 11, ["u03: no speech found"])}
    assert made.not_scored_lines() == ["pesq: 1 of 11 not scored: u03 (no speech found)"]
    nothing = board([{"id": "a", "pesq": None, "not_scored": {"pesq": "silent"}}])
    assert math.isnan(nothing.summary()["pesq"])


def test_repeated_utterances_count_once_and_halves_join():
    once, twice = board(records()), board(records() + records()[:5])
    assert once.summary() == twice.summary()
    joined = board([{"id": "a", "pesq": 2.0}, {"id": "a", "word_errors": 1, "words": 2}])
    assert joined.summary() == {"pesq": 2.0, "wer": 50.0}
    rescored = board(
        [{"id": "a", "pesq": None, "not_scored": {"pesq": "slow"}}, {"id": "a", "pesq": 3.0}]
    )
    assert not rescored.not_scored() and rescored.records[0]["not_scored"] == {}


def test_order_does_not_matter():
    assert board(records()).summary() == board(records()[::-1]).summary()


def test_groups():
    groups = board(records() + [{"id": "z", "pesq": 1.0}]).by("snr")
    assert list(groups) == [2.5, 12.5, None]
    low = [r["stoi"] for r in records() if r["snr"] == 2.5]
    assert groups[2.5]["stoi"] == pytest.approx(np.mean(low)) and groups[2.5]["utterances"] == 6
    assert list(board(records()).by("noise")) == ["bus", "cafe"]


def test_files_hold_everything(tmp_path):
    made = board(
        records() + [{"id": "quiet", "reference": "", "word_errors": np.int64(1), "words": 0}]
    )
    made.write(tmp_path / "new" / "scores.jsonl")
    lines = (tmp_path / "new" / "scores.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == sorted(r["id"] for r in made.records)
    again = Scoreboard()
    again.read(tmp_path / "new" / "scores.jsonl")
    assert again.summary() == made.summary()
    table = (tmp_path / "new" / "scores.txt").read_text()
    assert (
        "12 utterances" in table
        and "u03 (no speech found)" in table
        and "empty reference: 1: quiet" in table
    )
    assert f"{made.summary()['pesq']:.3f}" in table


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "scores.jsonl"
    board(records()).write(path)
    before = path.read_text()
    with pytest.raises(AttributeError):
        board([{"id": "a", "odd": object()}]).write(path)
    assert path.read_text() == before and len(list(tmp_path.iterdir())) == 2


def test_interval_holds_the_mean():
    made = board(records())
    for name, (low, high) in made.intervals().items():
        assert low < made.summary()[name] < high


def test_gather_without_distributed():
    assert gather_records(records()[::-1] + records()[:2]) == records()


def rank_main(rank, world_size, store, out):
    torch.distributed.init_process_group(
        "gloo", f"file://{store}", rank=rank, world_size=world_size
    )
    mine = records()[rank::world_size]
    if rank == 1:
        mine = mine + records()[:1]  # as a sampler fills up the shorter rank
    gathered = gather_records(mine)
    (out / f"{rank}.json").write_text(json.dumps([len(gathered), board(gathered).summary()]))
    torch.distributed.destroy_process_group()


def test_two_ranks_equal_one(tmp_path):
    torch.multiprocessing.spawn(rank_main, (2, tmp_path / "store", tmp_path), nprocs=2)
    single = board(records()).summary()
    for rank in range(2):
        count, summary = json.loads((tmp_path / f"{rank}.json").read_text())
        assert count == 11 and summary == pytest.approx(single, abs=1e-6)
