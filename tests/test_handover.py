"""What a stage leaves, the next one finds; what cannot be meant is told."""

import errno

import pytest
import small_models
import torch
from tiny import ROOT

from errors import RecipeError
from models.saved import build_from
from training.checks import check_typed
from training.handover import Source, hand_over, is_hub_name
from training.settings import build, read_settings


class Sized(torch.nn.Linear):
    """A module that keeps its constructor arguments."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.sizes = {"in_features": in_features, "out_features": out_features}


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_parameters_and_sizes_come_back(tmp_path):
    module = Sized(3, 2)
    hand_over({"net": module, "nothing": torch.nn.Identity()}, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"net.ckpt", "net.json"}
    other = build_from("net", tmp_path / "net.ckpt", otherwise=lambda: Sized(1, 1))
    Source(str(tmp_path / "net.ckpt"), "make it").load("net", other)
    assert same(module, other)


def test_a_write_that_fails_leaves_the_old_parameters(tmp_path, monkeypatch):
    module = torch.nn.Linear(2, 2)
    hand_over({"net": module}, tmp_path)
    before = (tmp_path / "net.ckpt").read_bytes()

    def full(path, data):
        open(path, "wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        hand_over({"net": torch.nn.Linear(2, 2)}, tmp_path)
    assert (tmp_path / "net.ckpt").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "module, file", [("enhance_model", "enhancer"), ("perceptual_model", "encoder"), ("net", "net")]
)
def test_a_folder_of_a_run_or_of_a_model_is_a_path(tmp_path, module, file):
    given, found = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    hand_over({file: given}, tmp_path)
    source = Source(str(tmp_path), "make it")
    source.check(module)
    source.load(module, found)
    assert same(given, found)


@pytest.mark.parametrize("stage", ["enhance_mimic", "robust_asr"])
@pytest.mark.parametrize("place", ["1/enhance_model.ckpt", "1", "1/model"])
def test_an_enhancer_keeps_its_kind_and_sizes(tmp_path, caplog, stage, place):
    network = small_models.enhancer(tmp_path / "1", sizes={"channels": [2, 3], "dense": 5})
    hand_over({"enhance_model": network}, tmp_path / "1")
    path = f"--pretrained_enhance_path={tmp_path / place}"
    given = [path, "--enhancer=crdnn", "--mask_weight=0.5", "--perceptual=filter_bank"]
    given += ["--pesq_weight=2.5"]
    settings = read_settings([str(ROOT / f"hparams/{stage}.yaml"), *given])
    hparams = build(settings.file, settings.overrides)
    module = hparams["modules"]["enhance_model"]
    assert module.sizes == {**network.sizes, "mask_weight": 0.5}
    hparams["loads"]["enhance_model"].load("enhance_model", module)
    assert same(network, module)
    check_typed(hparams, settings.typed)
    assert hparams["losses"]["pesq_loss"].gradient_ratio == 2.5
    assert "--enhancer is ignored" in caplog.text and "--mask_weight" not in caplog.text


def test_parameters_of_another_shape_stay_in_a_warm_start(tmp_path):
    given, found = torch.nn.Linear(3, 3), torch.nn.Linear(4, 3)
    hand_over({"net": given}, tmp_path)
    before = found.weight.clone()
    Source(str(tmp_path), "make it", partly=True).load("net", found)
    assert torch.equal(found.weight, before) and torch.equal(found.bias, given.bias)


def test_mistakes_are_told(tmp_path):
    hand_over({"net": torch.nn.Linear(3, 3)}, tmp_path)
    with pytest.raises(RecipeError, match="Run `make it` first"):
        Source(str(tmp_path / "gone.ckpt"), "make it").check("net")
    other = r"another network.* 2 parameters differ, such as weight: \(3, 3\) there, \(4, 4\) here"
    with pytest.raises(RecipeError, match=other):
        Source(str(tmp_path / "net.ckpt"), "make it").load("net", torch.nn.Linear(4, 4))
    (tmp_path / "torn.ckpt").write_bytes(b"no parameters")
    with pytest.raises(RecipeError, match="not a readable file"):
        Source(str(tmp_path / "torn.ckpt"), "make it").load("net", torch.nn.Linear(3, 3))


def test_paths_name_files_folders_and_hub_repositories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_hub_name("speechbrain/mtl-mimic-voicebank")
    assert is_hub_name("speechbrain/mtl-mimic-voicebank/perceptual.ckpt")
    (tmp_path / "mine/asr").mkdir(parents=True)
    assert not is_hub_name("mine/asr") and not is_hub_name("results/enhance_mimic/1/x.ckpt")
    with pytest.raises(RecipeError, match="mine/asr/enhance_model.ckpt does not exist"):
        Source("mine/asr", "python train.py ...").check("enhance_model")
