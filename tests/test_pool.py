"""The pool scores beside the model, in order, and loses no more than the utterance that breaks it."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import scoring_metrics as bad

from errors import RecipeError
from scoring.pool import MetricPool
from scoring.quality import NotScored, si_sdr

ROOT = Path(__file__).resolve().parent.parent
GOOD, MARKED = np.zeros(8), np.full(8, 7.0)


def submit_all(pool, signals):
    for index, signal_ in enumerate(signals):
        pool.submit(f"u{index}", signal_, GOOD)
    return pool.collect()


def children():
    return [p for p in psutil.Process().children() if "scoring.worker" in " ".join(p.cmdline())]


def test_equals_direct_calls_in_order_of_submission():
    rng = np.random.default_rng(0)
    pairs = [
        (rng.standard_normal(16000 - 500 * i), rng.standard_normal(16000 - 500 * i))
        for i in range(6)
    ]
    with MetricPool(["si_sdr"], jobs=2) as pool:
        for index, pair in enumerate(pairs):
            pool.submit(index, *pair, {"snr": 2.5})
        records = pool.collect()
        assert pool.collect() == []
    assert [r["id"] for r in records] == list(range(6))
    # sums of BLAS end in other last digits with another number of threads
    assert [r["si_sdr"] for r in records] == pytest.approx(
        [si_sdr(*pair) for pair in pairs], abs=1e-9
    )
    assert all(r["snr"] == 2.5 and r["not_scored"] == {} for r in records)


def test_one_process_persists_and_has_no_torch():
    with MetricPool({"pid": bad.process_id, "torch": bad.has_torch}, jobs=1) as pool:
        first, second = submit_all(pool, [GOOD]), submit_all(pool, [GOOD, GOOD])
    assert len({r["pid"] for r in first + second}) == 1
    assert first[0]["pid"] != os.getpid()
    assert first[0]["torch"] == 0


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="other processors are left as they are",
)
def test_workers_take_denormal_numbers_for_zero_and_the_main_process_does_not():
    tiny = np.full(8, 1e-160)
    with MetricPool({"product": bad.smallest}, jobs=1) as pool:
        [record] = submit_all(pool, [tiny])
    assert record["product"] == 0 and bad.smallest(tiny, tiny) > 0


def test_starts_lazily_and_submits_without_waiting():
    with MetricPool({"slow": bad.slow}, jobs=1) as pool:
        assert not children()
        start = time.perf_counter()
        for index in range(3):
            pool.submit(index, GOOD, GOOD)
        assert time.perf_counter() - start < 0.15
        assert len(pool.collect()) == 3


def test_takes_a_copy_at_submission():
    with MetricPool({"peak": bad.peak}, jobs=1) as pool:
        reused = np.ones(8)
        pool.submit("a", reused, GOOD)
        reused[:] = 5
        assert pool.collect()[0]["peak"] == 1


@pytest.mark.parametrize(
    "metric, reason", [(bad.killed_by_marker, "signal 9"), (bad.hanging_on_marker, "more than 1 s")]
)
def test_broken_worker_costs_one_utterance(metric, reason):
    with MetricPool({"metric": metric, "peak": bad.peak}, jobs=2, timeout=1.0) as pool:
        records = submit_all(pool, [GOOD, GOOD, MARKED, GOOD, GOOD])
    assert [r["metric"] for r in records] == [1, 1, None, 1, 1]
    assert records[2]["peak"] is None and reason in records[2]["not_scored"]["metric"]


def test_worker_that_dies_idle_costs_nothing():
    with MetricPool({"peak": bad.peak}, jobs=1) as pool:
        submit_all(pool, [GOOD])
        (worker,) = children()
        worker.kill()
        psutil.wait_procs([worker], timeout=5)
        assert submit_all(pool, [GOOD])[0]["peak"] == 0


def test_refusals_and_failures_are_told_by_metric():
    with MetricPool(
        {"si_sdr": si_sdr, "failing": bad.failing, "infinite": bad.infinite, "peak": bad.peak},
        jobs=1,
    ) as pool:
        pool.submit("silent", np.ones(8000), np.zeros(8000))
        (record,) = pool.collect()
    assert (
        record["peak"] == 1 and record["si_sdr"] is record["failing"] is record["infinite"] is None
    )
    with pytest.raises(NotScored) as refusal:
        si_sdr(np.ones(8000), np.zeros(8000))
    assert record["not_scored"]["si_sdr"] == str(refusal.value)
    assert (
        "ZeroDivisionError" in record["not_scored"]["failing"]
        and "inf" in record["not_scored"]["infinite"]
    )


@pytest.mark.parametrize(
    "head_start", [0.0, 1.5]
)  # s: closed while workers start, and while they hang
def test_close_is_prompt_and_leaves_no_process(head_start):
    pool = MetricPool({"metric": bad.hanging_on_marker}, jobs=2)
    for index in range(5):
        pool.submit(index, MARKED, GOOD)
    deadline = time.monotonic() + 10
    while len(children()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(head_start)
    start = time.monotonic()
    pool.close()
    pool.close()
    assert not children() and time.monotonic() - start < 5


SCRIPT = """
import os, signal, sys
import numpy as np
sys.path[:0] = [{root!r}, {tests!r}]
from scoring.pool import MetricPool
import scoring_metrics
pool = MetricPool({{"pid": scoring_metrics.process_id}}, jobs=1)
pool.submit("a", np.zeros(8), np.zeros(8))
print(int(pool.collect()[0]["pid"]), flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_worker_ends_with_its_main_process(end):
    script = SCRIPT.format(root=str(ROOT), tests=str(ROOT / "tests"), end=end)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
    )
    worker = int(done.stdout)
    deadline = time.monotonic() + 5
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(worker)


def running(pid):
    """Orphans that nobody reaps stay as zombies in some containers; those have ended too."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_mistakes_are_told_at_the_border(monkeypatch):
    with pytest.raises(RecipeError, match="nonsense.*pesq"):
        MetricPool(["nonsense"])
    with pytest.raises(RecipeError, match="module"):
        MetricPool({"lambda": lambda predicted, target: 0.0})
    with MetricPool(["stoi"], jobs=1) as pool, pytest.raises(RecipeError, match="stoi"):
        pool.submit("a", GOOD, GOOD, {"stoi": 1})
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no worker can start
    with (
        MetricPool({"peak": bad.peak}, jobs=1) as pool,
        pytest.raises(RecipeError, match="did not start"),
    ):
        submit_all(pool, [GOOD])
