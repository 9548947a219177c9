"""Noises exchanged between the utterances of a batch, so that no epoch hears a mixture twice (Remix, arXiv:2006.12847)."""

import torch


def remix(noisy, clean, lens, gain, seed):
    """Clean speech with the noises (noisy - clean) of the batch's other utterances.

    Each noise starts at a random sample, is repeated where it is too short, and made louder or softer.

    Arguments
    ---------
    noisy, clean : torch.Tensor
        [batch, samples].
    lens : torch.Tensor
        Lengths as shares of the longest utterance, [batch].
    gain : float
        dB; the noise's level changes by -gain to gain.
    seed : int
        Of the draws.

    Returns
    -------
    torch.Tensor
        [batch, samples], zero behind each utterance's end as far as ``clean`` is.
    """
    draw = torch.Generator().manual_seed(seed)
    batch, samples = noisy.shape
    counts = (lens * samples).round().long().clamp(min=1)
    givers = torch.randperm(batch, generator=draw).to(noisy.device)
    starts = (torch.rand(batch, generator=draw).to(noisy.device) * counts).long()
    gains = 10 ** (gain * (2 * torch.rand(batch, generator=draw) - 1) / 20)
    time = torch.arange(samples, device=noisy.device)
    taken = (time + starts[givers].unsqueeze(1)) % counts[givers].unsqueeze(
        1
    )  # samples of the givers' noises
    noise = (noisy - clean)[givers].gather(1, taken) * gains.to(noisy).unsqueeze(1)
    return clean + noise * (time < counts.unsqueeze(1))
