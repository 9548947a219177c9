"""The converter of a pretrained recognizer: tokens, and 8 bits back to 32."""

import numpy as np
import pytest
import torch

from benchmarks.moonshine import full, pieces, tokenizer

SPECIALS = [b"<unk>", b"<s>", b"</s>"]


def packed(texts):
    """Tokens as the file has them."""
    lengths = [
        bytes([len(t)]) if len(t) < 128 else bytes([128 + len(t) % 128, len(t) // 128])
        for t in texts
    ]
    return b"".join(length + text for length, text in zip(lengths, texts))


def test_tokens_are_cut_by_their_lengths():
    texts = [b"", b"a", b"b" * 127, b"c" * 128, b"d" * 300]
    assert pieces(packed(texts)) == texts


def test_tokens_are_read_as_text():
    pytest.importorskip("transformers")
    words = tokenizer(
        packed(
            [
                *SPECIALS,
                *(bytes([n]) for n in range(256)),
                "\u2581caf".encode(),
                "\u2581is".encode(),
                b".",
            ]
        )
    )
    assert (
        words.decode([1, 259, 3 + 0xC3, 3 + 0xA9, 260, 261, 2], skip_special_tokens=True).strip()
        == "café is."
    )


def test_a_rounded_matrix_is_what_was_rounded():
    matrix = np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4)
    scale, zero = np.float32(3 / 255), np.uint8(85)
    found = {
        "m_quantized": np.round(matrix / scale + zero).astype(np.uint8),
        "m_scale": scale,
        "m_zero_point": zero,
    }
    assert torch.allclose(full(found, "m"), torch.from_numpy(matrix), atol=float(scale))
