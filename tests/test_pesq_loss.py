"""The PESQ loss: agrees with the PESQ that is scored, can be differentiated, and minds neither silence nor short sounds."""

import sys

import numpy as np
import pytest
import torch
from tiny import run

import train
from errors import RecipeError
from models.pesq import pesq_distance
from scoring.pool import as_functions


def pairs(seconds=3.0, snrs=(0, 5, 10, 20, 30)):
    """A voice of 30 harmonics, three syllables a second, in noise of its spectrum: noisy and clean, [snrs, samples] each."""
    time = torch.arange(int(seconds * 16000)) / 16000
    voice = sum(torch.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 31))
    clean = (
        (0.1 * voice * (torch.sin(2 * np.pi * 3 * time).clamp(min=0) + 0.01))
        .float()
        .expand(len(snrs), -1)
        .clone()
    )
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    noise = torch.fft.irfft(torch.fft.rfft(noise) * torch.fft.rfft(clean).abs(), n=clean.shape[1])
    gain = clean.norm(dim=1) / noise.norm(dim=1) / 10 ** (torch.tensor(snrs) / 20)
    return clean + gain.unsqueeze(1) * noise, clean


def test_the_louder_the_noise_the_higher_as_the_scored_pesq_has_it():
    noisy, clean = pairs()
    losses = [pesq_distance(n[None], c[None]).item() for n, c in zip(noisy, clean)]
    scores = [as_functions(["pesq"])["pesq"](n.numpy(), c.numpy()) for n, c in zip(noisy, clean)]
    assert losses == sorted(losses, reverse=True) and scores == sorted(scores), (losses, scores)
    assert pesq_distance(clean, clean) < 1e-6 < losses[-1]
    assert pesq_distance(noisy, clean).item() == pytest.approx(np.mean(losses), rel=1e-4)


def test_a_step_down_its_slope_raises_the_scored_pesq():
    noisy, clean = pairs(snrs=(10,))
    enhanced, score = noisy.clone().requires_grad_(), as_functions(["pesq"])["pesq"]
    optimizer = torch.optim.Adam([enhanced], lr=1e-4)
    for _ in range(20):
        optimizer.zero_grad()
        pesq_distance(enhanced, clean).backward()
        optimizer.step()
    before, after = (score(wav[0].detach().numpy(), clean[0].numpy()) for wav in (noisy, enhanced))
    assert after > before + 0.1


def test_silence_is_left_out_and_gives_no_gradient():
    noisy, clean = pairs(snrs=(10, 10, 10))
    clean[1] = 0
    enhanced = noisy.clone().requires_grad_()
    loss = pesq_distance(enhanced, clean)
    loss.backward()
    assert enhanced.grad.isfinite().all() and not enhanced.grad[1].any() and enhanced.grad[0].any()
    assert loss.item() == pytest.approx(
        pesq_distance(noisy[[0, 2]], clean[[0, 2]]).item(), rel=1e-5
    )
    silent = torch.zeros(2, 16000, requires_grad=True)
    pesq_distance(silent, clean[:2, :16000]).backward()
    assert not silent.grad.any()


@pytest.mark.parametrize("samples", [1, 160, 5000])
def test_short_sounds_are_padded(samples):
    noisy, clean = (wav[:, 4000 : 4000 + samples].clone() for wav in pairs(snrs=(10, 10)))
    noisy.requires_grad_()
    pesq_distance(noisy, clean).backward()
    assert noisy.grad.isfinite().all()


def test_without_the_package_the_settings_say_what_to_type_and_others_do_not_mind(
    place, monkeypatch
):
    monkeypatch.setitem(sys.modules, "torch_pesq", None)
    judge = "--pretrain_perceptual_path=null"
    train.checked_settings(["hparams/enhance_mimic.yaml", judge])
    with pytest.raises(RecipeError, match="pip install torch-pesq"):
        train.checked_settings(["hparams/enhance_mimic.yaml", judge, "--pesq_weight=0"])


@pytest.mark.parametrize(
    "stage, source", [("enhance_mimic", []), ("robust_asr", ["--pretrained_enhance_path=null"])]
)
def test_it_trains_beside_the_others(place, stage, source):
    options = [
        "--pretrain_perceptual_path=null",
        "--pesq_weight=1",
        "--pesq_ratio=0.5",
        "--number_of_epochs=1",
    ]
    assert run(stage, *options, *source) == 0
    log = (place / f"results/{stage}/1/train_log.txt").read_text(encoding="utf-8")
    for word in (
        "train spectral: ",
        "train mimic: ",
        "train pesq_loss: ",
        "train pesq_loss_weight: ",
        "valid pesq_loss: ",
    ):
        assert word in log, log


@pytest.mark.parametrize("wrong", ["--pesq_weight=much", "--pesq_ratio=[1]"])
def test_what_cannot_be_meant_is_refused(place, wrong):
    with pytest.raises(RecipeError, match=wrong.split("=")[0][2:]):
        train.checked_settings(["hparams/enhance_mimic.yaml", wrong])
