"""SpeechBrain's lazy modules, made safe to look at; finished tiny runs that tests share."""

import os
import shutil
import sys

import pytest
from speechbrain.utils.importutils import LazyModule


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems():
    """hypothesis asks every loaded module for its file; a lazy one would import k2 to answer."""
    for module in list(sys.modules.values()):
        if isinstance(module, LazyModule):
            module.__dict__.setdefault("__file__", None)


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """A folder with a small corpus and an undisturbed tiny run of each stage."""
    from tiny import STAGES, home, make_corpus, run  # the whole recipe, which most tests do without

    before = os.getcwd()
    folder = home(tmp_path_factory.mktemp("reference"))
    make_corpus(folder)
    for stage in STAGES:
        assert run(stage) == 0
    os.chdir(before)
    return folder


@pytest.fixture
def place(reference, tmp_path, monkeypatch):
    """A folder of one's own with that corpus and those results, current while the test runs."""
    from tiny import home

    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").symlink_to(reference / "corpus")
    shutil.copytree(reference / "results", tmp_path / "results")
    return home(tmp_path)
