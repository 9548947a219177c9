"""A module is built again from what lies with its checkpoint."""

import json

import pytest
import torch

from errors import RecipeError
from models.acoustic import AcousticEncoder, AttentionDecoder
from models.cnn_transformer import CNNTransformer
from models.perceptual import build_perceptual
from models.saved import arguments, build_from, write_sizes
from models.wide_resnet import WideResnet
from training.handover import hand_over


class Own(torch.nn.Module):
    """A class of a user's own, outside of ``models``."""

    def __init__(self, widths=(3, 4), bias=True):
        super().__init__()
        self.sizes = arguments(locals())
        self.layer = torch.nn.Linear(*widths, bias)


MODULES = [
    lambda: WideResnet(channels=(4, 8), dense=16, mask_weight=0.9),
    lambda: CNNTransformer(channels=[16, 8], layers=1, heads=2, feed_forward=8, causal=True),
    lambda: AcousticEncoder(65, mel_bands=8, cnn_channels=[2, 2], rnn_neurons=4, dnn_neurons=4),
    lambda: AttentionDecoder(5, 4, hidden_size=6, attention_size=4),
    Own,
]


def never():
    """In the place of ``otherwise``."""
    raise AssertionError


@pytest.mark.parametrize("build", MODULES)
def test_it_is_built_again_from_file_or_folder(build, tmp_path):
    module = build()
    write_sizes(module, tmp_path / "it.ckpt")
    for path, name in ((tmp_path / "it.ckpt", "any"), (str(tmp_path), "it")):
        again = build_from(name, path, never)
        assert type(again) is type(module) and again.sizes == module.sizes
        again.load_state_dict(module.state_dict())


def test_without_the_json_file_the_other_is_built_and_sizes_can_be_replaced(tmp_path):
    for path in (None, tmp_path / "none.ckpt", tmp_path, "owner/name"):
        assert build_from("it", path, Own, bias=False).layer.bias is None
    write_sizes(Own(widths=[2, 3]), tmp_path / "it.ckpt")
    changed = build_from("it", tmp_path / "it.ckpt", never, bias=False)
    assert changed.sizes == {"widths": [2, 3], "bias": False}


def test_a_module_without_sizes_leaves_no_file_and_removes_an_old_one(tmp_path):
    write_sizes(Own(), tmp_path / "it.ckpt")
    write_sizes(torch.nn.Linear(2, 2), tmp_path / "it.ckpt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '"class"',
        '{"class": "models.wide_resnet.WideResnet"}',
        '{"class": "models.wide_resnet.WideResnet", "sizes": {"channel": [4]}}',
        '{"class": "models.wide_resnet.WideResnet", "sizes": [4]}',
        '{"class": "models.wide_resnet.Gone", "sizes": {}}',
        '{"class": "gone.Gone", "sizes": {}}',
        '{"class": "Gone", "sizes": {}}',
        '{"class": 7, "sizes": {}}',
        '{"class": "os.system", "sizes": {"command": "false"}}',
        '{"class": "collections.OrderedDict", "sizes": {}}',
    ],
)
def test_a_damaged_file_is_refused_with_its_name(text, tmp_path):
    (tmp_path / "it.json").write_text(text)
    with pytest.raises(RecipeError, match="it.json"):
        build_from("it", tmp_path / "it.ckpt", never)


def test_the_perceptual_model_has_the_sizes_that_stage_1_left(tmp_path):
    sizes = dict(mel_bands=8, cnn_channels=[2, 2], rnn_layers=1, rnn_neurons=4, dnn_neurons=4)
    encoder = AcousticEncoder(**sizes)
    hand_over({"encoder": encoder}, tmp_path)
    for kind in ("encoder", "random"):
        for path in (tmp_path, str(tmp_path / "encoder.ckpt")):
            assert build_perceptual(kind, path).sizes == encoder.sizes
    assert json.loads((tmp_path / "encoder.json").read_text())["sizes"]["cnn_channels"] == [2, 2]
