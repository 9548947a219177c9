"""The enhancer's network as one file computes what the model computes, also as the docs say how to use it."""

import numpy as np
import pytest
import torch

from errors import RecipeError
from inference.portable import MaskNetwork, write_portable
from models.enhancer import Enhancer

SHAPES = [(1, 8, 257), (3, 61, 257)]


@pytest.fixture
def enhancer():
    torch.manual_seed(0)
    made = Enhancer(channel_counts=[4, 8], dense_nodes=8)
    for name, buffer in made.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return made.eval().requires_grad_(False)


def test_a_program_of_torch_export_agrees_for_any_batch_and_length(enhancer, tmp_path):
    write_portable(enhancer, tmp_path / "mask.pt2")
    program = torch.export.load(tmp_path / "mask.pt2").module()
    for shape in SHAPES:
        features = torch.rand(shape)
        expected = MaskNetwork(enhancer)(features)
        assert expected.std() > 1e-3 and (program(features) - expected).abs().max() < 1e-4


def test_onnx_agrees(enhancer, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    write_portable(enhancer, tmp_path / "mask.onnx")
    session = runtime.InferenceSession(tmp_path / "mask.onnx")
    for shape in SHAPES:
        features = torch.rand(shape)
        (mask,) = session.run(None, {"features": features.numpy()})
        assert np.abs(mask - MaskNetwork(enhancer)(features).numpy()).max() < 1e-4


def test_the_spectrum_as_the_docs_write_it_gives_the_models_sound(enhancer):
    wav = 0.1 * torch.randn(2, 16011)
    window = torch.hamming_window(512)
    spec = torch.stft(
        wav, 512, 256, 512, window, center=True, pad_mode="constant", return_complex=True
    )
    mask = MaskNetwork(enhancer)(torch.log1p(spec.abs()).transpose(1, 2))
    found = torch.istft(
        spec * mask.transpose(1, 2), 512, 256, 512, window, center=True, length=wav.shape[1]
    )
    assert (found - enhancer(wav)[0]).abs().max() < 1e-4


def test_another_suffix_is_refused_with_the_possible_ones(enhancer, tmp_path):
    with pytest.raises(RecipeError, match=r"\.onnx, \.pt2"):
        write_portable(enhancer, tmp_path / "mask.tflite")
    assert not list(tmp_path.iterdir())
