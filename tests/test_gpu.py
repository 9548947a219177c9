"""On a GPU: the same training as on the CPU, and two waits a step. Without one, all of it is left out, and says so."""

import os

import pytest
import tiny
import torch

import train
from benchmarks.waits import Waits

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
STAGES = list(tiny.STAGES)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A folder with all stages' results, made on the CPU."""
    before = os.getcwd()
    tiny.home(tmp_path_factory.mktemp("gpu"))
    for stage in STAGES:
        assert tiny.run(stage, "--device=cpu") == 0
    yield
    os.chdir(before)


def losses(stage, folder, *options):
    """Training losses of the steps of a run in a new folder."""
    seen = []

    class Watched(train.MimicBrain):
        def fit_batch(self, batch):
            loss = super().fit_batch(batch)
            seen.append(float(loss))
            return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "MimicBrain", Watched)
        assert tiny.run(stage, f"--output_folder={folder}", *options) == 0
    assert seen
    return torch.tensor(seen)


@pytest.fixture
def all_32_bits(monkeypatch):
    """No TF32; the next run sets it anew."""
    monkeypatch.setenv("SB_DISABLE_QUIRKS", "allow_tf32")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


@pytest.mark.parametrize("stage", STAGES)
def test_a_gpu_learns_what_a_cpu_learns(earlier, stage, tmp_path, all_32_bits):
    options = [
        "--dropout=0.0",
        *(["--enhance_dropout=0.0"] if stage != "pretrain_perceptual" else []),
    ]
    on_gpu = losses(stage, tmp_path / "gpu", *options)
    on_cpu = losses(stage, tmp_path / "cpu", *options, "--device=cpu")
    assert torch.allclose(on_gpu[:5], on_cpu[:5], rtol=2e-3), (on_gpu, on_cpu)
    # Rounding grows: weights changed by a millionth change the enhancer's tenth loss on a CPU by one part in a hundred.
    assert torch.allclose(on_gpu, on_cpu, rtol=3e-2), (on_gpu, on_cpu)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_short_numbers_train(earlier, stage, precision, tmp_path):
    assert losses(stage, tmp_path / "run", f"--precision={precision}").isfinite().all()


def test_a_step_of_the_enhancer_waits_for_the_gpu_twice(earlier, monkeypatch):
    steps = []

    class Watched(train.MimicBrain):
        def fit_batch(self, batch):
            with Waits() as waits:
                loss = super().fit_batch(batch)
            steps.append(waits.found)
            return loss

    monkeypatch.setattr(train, "MimicBrain", Watched)
    assert tiny.run("enhance_mimic", "--output_folder=waits") == 0
    assert steps[-1].total() <= 2, steps[
        -1
    ]  # the gradient's length with the loss, and SpeechBrain's copy of the loss
