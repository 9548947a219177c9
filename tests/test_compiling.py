"""``--compile``: networks compiled in place. TorchInductor itself takes minutes, and is left out here."""

import pytest
import tiny
import torch


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """What was given to ``torch.compile``, which gives it back."""
    calls = []
    monkeypatch.setattr(torch, "compile", lambda function, **how: calls.append(how) or function)
    monkeypatch.chdir(tmp_path)  # and back
    tiny.home(tmp_path)
    return calls


def test_a_compiled_enhancer_is_handed_over_under_its_own_names(compiled):
    options = ["--pretrain_perceptual_path=null", "--number_of_epochs=1"]
    assert tiny.run("enhance_mimic", *options) == 0 and not compiled
    plain = torch.load("results/enhance_mimic/1/enhance_model.ckpt")
    assert tiny.run("enhance_mimic", *options, "--output_folder=again", "--compile") == 0
    again = torch.load("again/enhance_model.ckpt")
    assert all(torch.equal(plain[name], again[name]) for name in plain.keys() | again.keys())
    assert len(compiled) == 4 and all(
        how["dynamic"] is False for how in compiled
    )  # mask's CNN and DNN, the judge's blocks


def test_a_wrong_name_is_told_with_the_right_ones(compiled, capsys):
    assert (
        tiny.run(
            "enhance_mimic",
            "--pretrain_perceptual_path=null",
            "--compile",
            "--compile_module_keys",
            "enhancer",
        )
        == 2
    )
    assert "enhancer not among enhance_model, src_embedding" in capsys.readouterr().err
