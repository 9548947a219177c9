"""The examples of docs/extending.md, as a reader would take them over."""

import json
import re
import shlex
import shutil
import sys

import pytest
import soundfile
from corpora import RATE, sound
from tiny import ROOT, run

import data_prep
from inference import enhance
from inference.command import carry_out
from inference.loading import PRETRAINED

TEXT = (ROOT / "docs/extending.md").read_text()
CODE = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", TEXT, re.DOTALL))
ENTRIES = re.findall(r"```yaml\n# hparams/enhance_mimic\.yaml\n(\w+):\n(.*?)```", TEXT, re.DOTALL)


def with_entry(stage_file, section, entry):
    """A stage file in which an entry of a section is replaced, or added at its begin."""
    name = re.match(r" +(\w+):", entry)[1]
    head, body, rest = re.split(rf"^({section}:\n(?: .*\n)+)", stage_file, flags=re.MULTILINE)
    body = re.sub(rf"^    {name}:.*\n(?:     .*\n)*", "", body, flags=re.MULTILINE)
    return head + body.replace(f"{section}:\n", f"{section}:\n{entry}") + rest


@pytest.fixture
def recipe(place, monkeypatch):
    """A working folder with the examples' code, and a stage file of its own."""
    for file, code in CODE.items():
        (place / file).write_text(code)
        monkeypatch.delitem(sys.modules, file.removesuffix(".py"), raising=False)
    monkeypatch.syspath_prepend(place)
    (place / "hparams").unlink()
    shutil.copytree(ROOT / "hparams", place / "hparams")
    return place


EXAMPLES = {
    "enhancer": (0, [], ["enhance_model: 0.1"]),
    "loss": (1, [], ["loss changes: weight 0.01"]),
    "perceptual model": (
        2,
        ["--pretrain_perceptual_path=null", "--mimic_taps=[bands, changes]"],
        ["perceptual_model: 0.00 M parameters, frozen"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("number, options, told", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_trains(recipe, number, options, told):
    stage = recipe / "hparams/enhance_mimic.yaml"
    stage.write_text(with_entry(stage.read_text(), *ENTRIES[number]))
    assert run("enhance_mimic", *options, "--output_folder=mine") == 0
    log = (recipe / "mine/log.txt").read_text()
    assert all(words in log for words in told)


@pytest.mark.slow
def test_a_trained_own_enhancer_goes_into_stage_3(recipe):
    stage = recipe / "hparams/enhance_mimic.yaml"
    stage.write_text(with_entry(stage.read_text(), *ENTRIES[0]))
    assert run("enhance_mimic", "--output_folder=mine") == 0
    assert run("robust_asr", "--pretrained_enhance_path=mine", "--output_folder=asr") == 0


FILES = {  # of ten pairs: those to train and validate, those to test
    "trainset_28spk_wav": [*(f"me_{number}.wav" for number in range(1, 8)), "valid_1.wav"],
    "testset_wav": ["me_8.wav", "me_9.wav"],
}


@pytest.mark.slow
def test_an_enhancer_is_fine_tuned_on_ten_files(place):
    for folder, files in FILES.items():
        for kind in ("clean", "noisy"):
            (place / f"pairs/{kind}_{folder}").mkdir(parents=True)
            found = sorted((place / f"corpus/{kind}_{folder}_16k").iterdir())
            for source, file in zip(found, files, strict=False):
                shutil.copy(source, place / f"pairs/{kind}_{folder}/{file}")
    (place / "noisy").symlink_to("pairs/noisy_testset_wav")
    (place / "pretrained").symlink_to(PRETRAINED)
    training, enhancing = commands()[:2]
    options = [option for option in training[3:] if "epochs" not in option]
    assert run("enhance_mimic", *options, "--enhance_channels=[3, 3]", "--export=True") == 0
    after = json.loads((place / "results/tuned/enhance_model.json").read_text())
    assert after == json.loads((PRETRAINED / "enhancer.json").read_text())
    assert "enhance_model: loaded from pretrained" in (place / "results/tuned/log.txt").read_text()
    assert carry_out(enhance.parser(), enhance.run, enhancing[2:]) == 0
    assert {path.name for path in (place / "tuned").glob("*.wav")} == set(FILES["testset_wav"])


def test_pairs_are_mixed_of_ten_clean_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in range(10):
        path = tmp_path / f"clean/{'abc'[number % 3]}/{number}.wav"
        write_sound(path)
        path.with_suffix(".txt").write_text("any words")
    for kind in ("fan", "street"):
        write_sound(tmp_path / f"noises/{kind}/1.wav")
    assert data_prep.main(commands()[2][2:]) == 0
    assert "--valid_speakers=" in capsys.readouterr().out
    assert len(list(tmp_path.glob("mixed/noisy_*/*.wav"))) == 10


def write_sound(path):
    """Half a second of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound(path.name), RATE)


def commands():
    """The words of each command of the section on fine-tuning."""
    section = TEXT.split("## Fine-tune")[1]
    lines = "".join(re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    return [shlex.split(line) for line in lines.replace("\\\n", "").splitlines()]
