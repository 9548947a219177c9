"""The attention decoder where all tokens are known, as in training: what need not wait for the token before is computed at once.

SpeechBrain's loop lets autograd follow each token: a hundred small operations each, and a gradient of every weight which is
added to those of the other tokens. Here the loop holds what depends on the token before alone, its gradient is written by hand,
and each weight has its gradient from one product over all tokens.
"""

import torch
from speechbrain.dataio.dataio import length_to_mask
from speechbrain.nnet.RNN import AttentionalRNNDecoder
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv1d


class Decoder(AttentionalRNNDecoder):
    """SpeechBrain's decoder with a GRU of one layer and location-aware attention (arXiv:1506.07503): same weights, same
    random numbers, same results but for the order of sums. The loop computes in 32 bit. Searches take its ``forward_step``.
    """

    def forward(self, inp_tensor, enc_states, wav_len):
        """Tokens' vectors [batch, length, dim], encoded [batch, time, dim], relative lengths [batch] -> (outputs [batch, length,
        hidden_size], attention [batch, length, time])."""
        attention, cell = self.attn, self.rnn.rnn_cells[0]
        counts = torch.round(enc_states.shape[1] * wav_len).long()
        heard = length_to_mask(
            counts, max_len=enc_states.shape[1], dtype=torch.float32, device=enc_states.device
        )
        keys = (
            attention.mlp_enc(enc_states).float() + attention.mlp_dec.bias + attention.mlp_loc.bias
        )
        values = attention.mlp_out(
            enc_states
        ).float()  # of a frame: the weights' sum is 1, so that the mean may come behind
        kept = self.kept_inputs(inp_tensor)
        inputs = inp_tensor.float().transpose(0, 1) * kept[..., : inp_tensor.shape[-1]]
        weights = [
            cell.weight_ih,
            cell.weight_hh,
            cell.bias_ih,
            cell.bias_hh,
            attention.mlp_dec.weight,
        ]
        weights += [attention.mlp_loc.weight, attention.conv_loc.weight, attention.mlp_attn.weight]
        fixed = kept[..., inp_tensor.shape[-1] :], heard, torch.is_grad_enabled()
        with torch.autocast(enc_states.device.type, enabled=False):
            states, contexts, attended = Loop.apply(*fixed, inputs, keys, values, *weights)
        outputs = self.proj(torch.cat([contexts, states], dim=-1))
        return outputs.transpose(0, 1), attended.transpose(0, 1)

    def kept_inputs(self, tokens):
        """What dropout leaves of the inputs of the GRU: factors [length, batch, dim of token and context]."""
        kept = torch.ones(
            tokens.shape[1], len(tokens), tokens.shape[-1] + self.attn_dim, device=tokens.device
        )
        if self.training and self.dropout:
            for of_token in kept:  # one by one, as a loop draws them
                of_token.bernoulli_(1 - self.dropout)
            kept /= (1 - self.dropout) or 1
        return kept


class Loop(torch.autograd.Function):
    """Token by token: the GRU, whose state asks the frames, and their mean, weighted by the answers, which the GRU hears next.

    Shapes: kept [length, batch, context], heard [batch, time], inputs [length, batch, dim], keys and values [batch, time, context];
    weights as PyTorch's layers have them. Gives states, contexts and attention, [length, batch, ...]; attention has no gradient.
    """

    @staticmethod
    def forward(
        ctx,
        kept,
        heard,
        learns,
        inputs,
        keys,
        values,
        w_input,
        w_state,
        b_input,
        b_state,
        w_query,
        w_place,
        w_conv,
        w_energy,
    ):
        """``learns``: a gradient will be asked for."""
        length, batch, dim = inputs.shape
        context, padding, slots = values.shape[-1], w_conv.shape[-1] // 2, length if learns else 1
        x = torch.cat([inputs, inputs.new_zeros(length, batch, context)], dim=-1)
        states = x.new_zeros(
            length + 1, batch, w_state.shape[1]
        )  # before the first token, and behind each
        contexts, attended = (
            x.new_zeros(length + 1, batch, context),
            x.new_empty(length + 1, *heard.shape),
        )
        gates, offered = (
            x.new_empty(slots, batch, len(w_state)),
            x.new_empty(slots, *states.shape[1:]),
        )
        places, scores = (
            x.new_empty(slots, batch, len(w_conv), heard.shape[1]),
            x.new_empty(slots, *keys.shape),
        )
        shut, w_places = heard.log(), w_place.T.expand(batch, -1, -1)  # 0, and -inf in padding
        attended[0] = heard / heard.sum(dim=1, keepdim=True)
        for t in range(length):
            slot = t % slots
            torch.mul(contexts[t], kept[t], out=x[t, :, dim:])
            gru(
                x[t],
                states[t],
                (w_input, b_input),
                (w_state, b_state),
                gates[slot],
                offered[slot],
                out=states[t + 1],
            )
            places[slot] = conv1d(attended[t].unsqueeze(1), w_conv, padding=padding)
            torch.baddbmm(keys, places[slot].mT, w_places, out=scores[slot])
            scores[slot].add_((states[t + 1] @ w_query.T).unsqueeze(1)).tanh_()
            torch.softmax(shut + scores[slot] @ w_energy[0], dim=-1, out=attended[t + 1])
            torch.bmm(attended[t + 1].unsqueeze(1), values, out=contexts[t + 1].unsqueeze(1))
        if learns:
            weights = w_input, w_state, w_query, w_place, w_conv, w_energy
            ctx.save_for_backward(
                kept, values, x, states, attended, gates, offered, places, scores, *weights
            )
        ctx.mark_non_differentiable(given := attended[1:])
        return states[1:], contexts[1:], given

    @staticmethod
    @once_differentiable
    def backward(ctx, d_states, d_contexts, _attended):
        """Back through the tokens for what they hand on, then the weights' gradients at once."""
        with torch.autocast(d_states.device.type, enabled=False):
            return None, None, None, *gradients(d_states, d_contexts.clone(), *ctx.saved_tensors)


def gru(x, state, of_input, of_state, gates, offered, out):
    """One step. Keeps the three gates [batch, 3 * hidden] (reset, update, new) and what the state offers to the last of them."""
    (w_input, b_input), (w_state, b_state) = of_input, of_state
    size = state.shape[-1]
    from_state = torch.addmm(b_state, state, w_state.T)
    torch.addmm(b_input, x, w_input.T, out=gates)
    offered.copy_(from_state[:, 2 * size :])
    reset_update, new = gates[:, : 2 * size], gates[:, 2 * size :]
    reset_update.add_(from_state[:, : 2 * size]).sigmoid_()
    new.addcmul_(gates[:, :size], offered).tanh_()
    torch.lerp(new, state, gates[:, size : 2 * size], out=out)


def gru_backward(slope, state, gates, offered, d_input, d_state):
    """The slope at the new state -> slopes before the gates, [batch, 3 * hidden], of input and state; returns that of the old state."""
    reset, update, new = gates.chunk(3, dim=-1)
    size = state.shape[-1]
    d_new = torch.ops.aten.tanh_backward(slope * (1 - update), new)
    d_input[:, 2 * size :] = d_new
    torch.mul(d_new, offered, out=d_input[:, :size])
    torch.mul(slope, state - new, out=d_input[:, size : 2 * size])
    d_input[:, : 2 * size].mul_(gates[:, : 2 * size] * (1 - gates[:, : 2 * size]))
    d_state.copy_(d_input)
    d_state[:, 2 * size :].mul_(reset)
    return slope * update


def gradients(
    d_states,
    d_contexts,
    kept,
    values,
    x,
    states,
    attended,
    gates,
    offered,
    places,
    scores,
    *weights,
):
    """Of inputs, keys, values and all weights, in the order of ``Loop.forward``."""
    w_input, w_state, w_query, w_place, w_conv, w_energy = weights
    length, dim = len(x), x.shape[-1] - values.shape[-1]
    d_x, d_input, d_state, d_query = (
        torch.empty_like(x),
        torch.empty_like(gates),
        torch.empty_like(gates),
        torch.empty_like(d_contexts),
    )
    d_keys, d_places, d_old = (
        torch.zeros_like(values),
        places.new_empty(places.mT.shape),
        torch.zeros_like(states[0]),
    )
    d_w_place, d_w_energy = torch.zeros_like(w_place), torch.zeros_like(w_energy[0])
    for t in reversed(range(length)):
        d_attended = torch.bmm(values, d_contexts[t].unsqueeze(2)).squeeze(2)
        d_energies = torch._softmax_backward_data(d_attended, attended[t + 1], -1, values.dtype)
        d_scores = torch.ops.aten.tanh_backward(d_energies.unsqueeze(2) * w_energy, scores[t])
        d_keys += d_scores
        d_w_energy.addmv_(scores[t].flatten(0, 1).T, d_energies.flatten())
        d_w_place.addmm_(d_scores.flatten(0, 1).T, places[t].mT.flatten(0, 1))
        d_places[t] = d_scores @ w_place
        torch.sum(d_scores, dim=1, out=d_query[t])
        slope = torch.addmm(d_states[t] + d_old, d_query[t], w_query)
        kept_old = gru_backward(slope, states[t], gates[t], offered[t], d_input[t], d_state[t])
        d_old = torch.addmm(kept_old, d_state[t], w_state)
        torch.mm(d_input[t], w_input, out=d_x[t])
        if t:
            d_contexts[t - 1].addcmul_(d_x[t, :, dim:], kept[t])
    d_values = attended[1:].permute(1, 2, 0) @ d_contexts.transpose(0, 1)
    of_weights = [
        over_tokens(d_input, x),
        over_tokens(d_state, states[:-1]),
        d_input.sum(dim=(0, 1)),
        d_state.sum(dim=(0, 1)),
    ]
    of_weights += [
        over_tokens(d_query, states[1:]),
        d_w_place,
        of_convolution(d_places, attended[:-1], w_conv),
        d_w_energy.unsqueeze(0),
    ]
    return d_x[..., :dim], d_keys, d_values, *of_weights


def over_tokens(slopes, inputs):
    """Gradient of a weight from all tokens' slopes [length, batch, n] and inputs [length, batch, m]: [n, m]"""
    return slopes.flatten(0, 1).T @ inputs.flatten(0, 1)


def of_convolution(slopes, attended, weight):
    """Gradient of the location convolution's kernels: slopes [length, batch, time, channels], attention [length, batch, time]."""
    signal = attended.flatten(0, 1).unsqueeze(1)
    return torch.nn.grad.conv1d_weight(
        signal, weight.shape, slopes.flatten(0, 1).mT, padding=weight.shape[-1] // 2
    )
