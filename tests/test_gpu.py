"""On a GPU: the same training as on the CPU. Without one all of it is left out, and says so."""

import pytest
import torch
from tiny import STAGES, run

import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def losses(monkeypatch, stage, folder, *options):
    """Training losses of the steps of a run in a new folder."""
    seen = []

    class Watched(train.MimicBrain):
        def fit_batch(self, batch):
            loss = super().fit_batch(batch)
            seen.append(float(loss))
            return loss

    with monkeypatch.context() as patch:
        patch.setattr(train, "MimicBrain", Watched)
        assert run(stage, f"--output_folder={folder}", *options) == 0
    return torch.tensor(seen)


@pytest.mark.parametrize("stage", STAGES)
def test_a_gpu_learns_what_a_cpu_learns(place, monkeypatch, stage):
    monkeypatch.setenv("SB_DISABLE_QUIRKS", "allow_tf32")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    options = ["--enhance_dropout=0.0" if stage == "enhance_mimic" else "--dropout=0.0"]
    on_gpu = losses(monkeypatch, stage, "gpu", *options)
    on_cpu = losses(monkeypatch, stage, "cpu", *options, "--device=cpu")
    assert torch.allclose(on_gpu[:5], on_cpu[:5], rtol=2e-3), (on_gpu, on_cpu)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("stage", STAGES)
def test_16_bits_train(place, monkeypatch, stage, precision):
    found = losses(monkeypatch, stage, precision, f"--precision={precision}")
    assert found.isfinite().all()


def test_a_stopped_run_goes_on_as_undisturbed(place, monkeypatch):
    whole = losses(monkeypatch, "enhance_mimic", "whole")
    first = losses(monkeypatch, "enhance_mimic", "parts", "--number_of_epochs=1")
    second = losses(monkeypatch, "enhance_mimic", "parts")
    assert len(first) + len(second) == len(whole)
    assert torch.allclose(second, whole[len(first) :], rtol=0.1)
