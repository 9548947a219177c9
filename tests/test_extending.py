"""The three examples of docs/extending.md, as a reader would take them over."""

import re
import shutil
import sys

import pytest
from tiny import ROOT, run

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
