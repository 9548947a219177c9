"""The docs keep their size, and what they name is there: pages, files, links, keys, options."""

import ast
import re
import shlex
from pathlib import Path

import pytest

import data_prep
import results
from errors import RecipeError
from inference import enhance, score, transcribe
from training.settings import read_settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = [  # in docs/
    "configuration",
    "data",
    "extending",
    "inference",
    "method",
    "results",
    "running",
    "speechbrain",
]
DOCS = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in PAGES)]
STAGES = ("pretrain_perceptual", "enhance_mimic", "robust_asr")
WORDS = 900  # at most, on each page
PARSERS = {
    "data_prep.py": data_prep._parser,
    "enhance.py": enhance.parser,
    "results.py": results.parser,
    "score.py": score.parser,
    "transcribe.py": transcribe.parser,
}
MADE_BY_A_RUN = {"hyperparams.yaml"}
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"results", "mini_corpus"}
NOT_IN_DOCS = {
    "dates": r"\b20\d\d-\d\d-\d\d\b|\b\d{1,2} (?:January|February|March|April|June|July|August|"
    r"September|October|November|December)\b",
    "commits": r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b|\bcommits?\b",
    "processors": r"\b(?:Xeon|EPYC|AVX\S*)\b",
    "test suites": r"\btest suite\b",
    "our own words": r"\b(?:judges?|judged|anew|beside|slopes?)\b",
}


def text(page):
    return page.read_text(encoding="utf-8")


def blocks(page, language):
    """The code blocks of a page in a language ("" for none)."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), flags=re.M | re.S)


def spans(page):
    """What stands in single backticks, outside of code blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text(page), flags=re.M | re.S))


def commands():
    """(page, words) of each command in the docs, once for each stage where the stage is open."""
    found = []
    for page in DOCS:
        lines = [line for block in blocks(page, "") for line in unbroken(block)]
        for line in lines + spans(page):
            if re.match(r"(?:srun )?(?:python|torchrun) ", line):
                for stage in STAGES if "<stage>" in line else ("",):
                    words = shlex.split(line.replace("<stage>", stage), comments=True)
                    found.append((page.name, words))
    return found


def unbroken(block):
    """The lines of a block, those that go on after a backslash in one."""
    return re.sub(r"\\\n\s*", "", block).splitlines()


def trainings():
    """(page, stage file and overrides) of each command that trains."""
    return [
        (page, words[words.index("train.py") + 1 :])
        for page, words in commands()
        if "train.py" in words
    ]


def test_there_are_eight_pages_and_no_others():
    assert sorted(path.stem for path in (ROOT / "docs").glob("*.md")) == PAGES


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_a_page_has_at_most_900_words(page):
    assert len(text(page).split()) <= WORDS


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_lines_of_text_are_short(page):
    """All but tables and pictures."""
    prose = re.sub(r"^```mermaid\n.*?^```$", "", text(page), flags=re.M | re.S)
    lines = [line for line in prose.splitlines() if not line.startswith(("|", "!["))]
    assert not [line for line in lines if len(line) > 100]


@pytest.mark.parametrize("kind", NOT_IN_DOCS)
def test_the_docs_tell_no_history(kind):
    assert not [
        f"{page.name}: {found.group()}"
        for page in DOCS
        for found in re.finditer(NOT_IN_DOCS[kind], text(page), flags=re.I)
    ]


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)\s]+)\)", text(page))
    assert not [
        link
        for link in links
        if not link.startswith("http") and not (page.parent / link.split("#")[0]).is_file()
    ]


def test_every_picture_is_shown():
    shown = {
        Path(name).name for page in DOCS for name in re.findall(r"\(images/(\S+)\)", text(page))
    }
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} == shown


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_files_that_are_named_exist(page):
    missing = []
    for span in spans(page):
        for stage in STAGES:
            name = span.replace("<stage>", stage)
            is_file = re.fullmatch(r"[\w./-]+\.(?:py|yaml|md|cff)", name) is not None
            in_tree = name.split("/")[0] in FOLDERS and re.fullmatch(r"[\w./-]+", name)
            if (is_file and name not in MADE_BY_A_RUN or in_tree and "/" in name) and not (
                (ROOT / name).exists() or name.startswith("my_")
            ):
                missing.append(name)
    assert not missing


def read(words):
    """Settings of a command line, less devices, which other machines have, and shell variables."""
    return read_settings([w for w in words if not w.startswith("--device") and "$" not in w])


def test_every_training_in_the_docs_is_understood(monkeypatch):
    monkeypatch.chdir(ROOT)
    for _, words in trainings():
        read(words)


def test_every_option_of_training_in_the_text_is_understood(monkeypatch):
    monkeypatch.chdir(ROOT)
    for page in DOCS:
        for span in spans(page):
            if re.match(r'"?--(?!key=)\w+=', span) and "<" not in span:
                options = [word for word in shlex.split(span) if re.match(r"--\w+=", word)]
                assert any(is_read(stage, options) for stage in STAGES), f"{page.name}: {span}"


def test_the_default_preset_is_the_one_in_the_docs(monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = text(ROOT / "docs" / "configuration.md").splitlines()
    for options, said in (([], "without"), (["--data_folder=Voicebank"], "with")):
        preset = read([f"hparams/{STAGES[1]}.yaml", *options]).preset
        (row,) = [line for line in lines if line.startswith(f"| `{preset}` |")]
        assert row.endswith(f"{said} `--data_folder` |")


def is_read(stage, options):
    """Whether a stage takes these options."""
    try:
        read([f"hparams/{stage}.yaml", *options])
    except RecipeError:
        return False
    return True


def test_every_other_command_in_the_docs_is_understood():
    for page, words in commands():
        script = words[1] if words[0] == "python" else ""
        if script in PARSERS and "--help" not in words:
            try:
                PARSERS[script]().parse_args(words[2:])
            except SystemExit:
                pytest.fail(f"{page}: {shlex.join(words)}")


def test_each_row_has_its_folder_and_reads_what_a_row_before_it_makes():
    folders = {"results/robust_asr/1"}
    rows = [words for page, words in trainings() if page == "README.md"]
    rows = [words for words in rows if any("--output_folder" in word for word in words)]
    assert len(rows) == 7  # the seven rows less the default one, and the MSE enhancer
    for words in rows:
        given = dict(word.removeprefix("--").split("=", 1) for word in words[1:])
        assert given["output_folder"] not in folders
        if "pretrained_enhance_path" in given:
            assert str(Path(given["pretrained_enhance_path"]).parent) in folders
        folders.add(given["output_folder"])


def test_the_examples_are_python():
    sources = blocks(ROOT / "docs" / "extending.md", "python")
    assert [source.splitlines()[0] for source in sources] == [
        "# my_enhancer.py",
        "# my_losses.py",
        "# my_perceptual.py",
    ]
    for source in sources:
        ast.parse(source)
