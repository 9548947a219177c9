"""SpeechBrain's lazy modules, made safe to look at; a folder to type commands in."""

import os
import sys

import pytest
from speechbrain.utils.importutils import LazyModule


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems():
    """hypothesis asks every loaded module for its file, and a lazy one of SpeechBrain's would import k2 to answer."""
    for module in list(sys.modules.values()):
        if isinstance(module, LazyModule):
            module.__dict__.setdefault("__file__", None)


@pytest.fixture
def place(tmp_path):
    """An empty folder with the recipe's files, which is the current one while the test runs."""
    from tiny import home  # with it comes the whole recipe, which most tests do without

    before = os.getcwd()
    yield home(tmp_path)
    os.chdir(before)
