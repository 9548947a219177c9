"""The PESQ loss: agrees with PESQ, can be differentiated, and takes silence and short sounds."""

import sys

import numpy as np
import pytest
import torch
from pesq import pesq

from errors import RecipeError
from models.pesq_loss import package, pesq_distance


def pairs(seconds=3.0, snrs=(0, 5, 10, 20, 30)):
    """A voice of 30 harmonics in noise of its spectrum: noisy and clean, [snrs, samples] each."""
    time = torch.arange(int(seconds * 16000)) / 16000
    voice = sum(torch.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 31))
    syllables = torch.sin(2 * np.pi * 3 * time).clamp(min=0) + 0.01  # three a second
    clean = (0.1 * voice * syllables).float().expand(len(snrs), -1).clone()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    noise = torch.fft.irfft(torch.fft.rfft(noise) * torch.fft.rfft(clean).abs(), n=clean.shape[1])
    gain = clean.norm(dim=1) / noise.norm(dim=1) / 10 ** (torch.tensor(snrs) / 20)
    return clean + gain.unsqueeze(1) * noise, clean


def test_it_falls_where_pesq_rises():
    noisy, clean = pairs()
    losses = [pesq_distance(n[None], c[None]).item() for n, c in zip(noisy, clean, strict=True)]
    scores = [pesq(16000, c.numpy(), n.numpy()) for n, c in zip(noisy, clean, strict=True)]
    assert losses == sorted(losses, reverse=True) and scores == sorted(scores), (losses, scores)
    assert pesq_distance(clean, clean) < 1e-6 < losses[-1]
    assert pesq_distance(noisy, clean).item() == pytest.approx(np.mean(losses), rel=1e-4)


def test_a_step_along_its_gradient_raises_pesq():
    noisy, clean = pairs(snrs=(10,))
    enhanced = noisy.clone().requires_grad_()
    optimizer = torch.optim.Adam([enhanced], lr=1e-4)
    for _ in range(20):
        optimizer.zero_grad()
        pesq_distance(enhanced, clean).backward()
        optimizer.step()
    before, after = (
        pesq(16000, clean[0].numpy(), wav[0].detach().numpy()) for wav in (noisy, enhanced)
    )
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


def test_a_digital_pause_gives_a_finite_gradient():
    noisy, clean = pairs(seconds=1.4, snrs=(10,))
    clean[:, -4000:] = 0
    noisy.requires_grad_()
    pesq_distance(noisy, clean).backward()
    assert noisy.grad.isfinite().all() and noisy.grad.any()


@pytest.mark.parametrize("samples", [1, 160, 5000])
def test_short_sounds_are_padded(samples):
    noisy, clean = (wav[:, 4000 : 4000 + samples].clone() for wav in pairs(snrs=(10, 10)))
    noisy.requires_grad_()
    pesq_distance(noisy, clean).backward()
    assert noisy.grad.isfinite().all()


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_pesq", None)
    with pytest.raises(RecipeError, match="pip install torch-pesq"):
        package()
