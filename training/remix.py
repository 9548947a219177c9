"""Noises exchanged between the utterances of a batch (Remix, arXiv:2006.12847)."""

import torch


def remix(
    noisy: torch.Tensor, clean: torch.Tensor, lens: torch.Tensor, gain: float, seed: int
) -> torch.Tensor:
    """Clean speech with the noises (noisy - clean) of other utterances, [batch, samples] each.

    Each noise starts at a random sample, is repeated where it is too short, and changed in level
    by -gain to gain (dB). ``lens`` [batch] is relative; padding stays as it is in ``clean``.
    """
    draw = torch.Generator().manual_seed(seed)
    batch, samples = noisy.shape
    counts = (lens * samples).round().long().clamp(min=1)
    givers = torch.randperm(batch, generator=draw).to(noisy.device)
    starts = (torch.rand(batch, generator=draw).to(noisy.device) * counts).long()
    gains = 10 ** (gain * (2 * torch.rand(batch, generator=draw) - 1) / 20)
    time = torch.arange(samples, device=noisy.device)
    taken = (time + starts[givers, None]) % counts[givers, None]  # samples of the givers' noises
    noise = (noisy - clean)[givers].gather(1, taken) * gains.to(noisy)[:, None]
    return clean + noise * (time < counts[:, None])
