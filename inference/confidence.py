"""How sure a recognizer is: the mean log probability of its own decisions."""

import torch


def ctc_confidence(model, log_probs, _):
    """(geometric mean of the best path's probability over the frames that are not blank, number of these frames).

    ``log_probs`` is [1, time, tokens]. Where all frames are blank, the mean is over all.
    """
    best, index = log_probs[0].max(dim=-1)
    spoken = best[index != 0] if (index != 0).any() else best
    return spoken.mean().exp().item(), len(spoken)


def decoder_confidence(model, encoded, tokens):
    """(geometric mean of the decoder's probability of each token and of the end, number of tokens and end).

    ``encoded`` is [1, time, dim]. The decoder is run once more on its own text: scores of a beam search hold other things.
    """
    search = model.mods.decoder
    tokens = torch.as_tensor(
        [int(token) for token in tokens], dtype=torch.long, device=encoded.device
    )
    begin, end = (
        torch.full((1,), index, device=encoded.device)
        for index in (search.bos_index, search.eos_index)
    )
    hidden, _ = search.dec(
        search.emb(torch.cat([begin, tokens])[None]), encoded, torch.ones(1, device=encoded.device)
    )
    log_probs = search.fc(hidden).float().log_softmax(dim=-1)[0]
    chosen = log_probs.gather(1, torch.cat([tokens, end])[:, None])
    return chosen.mean().exp().item(), len(chosen)
