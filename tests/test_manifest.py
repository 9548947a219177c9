"""Manifests may be anything: they are read, or refused with an error that names file and field."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import RecipeError
from training.manifest import SOUNDS, TEXTS, read_manifest

ENTRY = {"noisy_wav": "{data_root}/n.wav", "clean_wav": "c.wav", "length": 1.0} | {
    "words": "A",
    "phones": "AH",
}
many = settings(
    max_examples=100, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(), scalars, max_size=2)
good = st.fixed_dictionaries(
    {key: st.text(min_size=1).filter(str.strip) for key in SOUNDS + TEXTS}
    | {"length": st.floats(0.01, 100)}
)
spoilt = st.builds(
    lambda entry, key, value: entry | {key: value}, good, st.sampled_from(list(ENTRY)), values
)


def write(folder, entries):
    """A manifest's file with any content."""
    path = folder / "m.json"
    if isinstance(entries, bytes):
        path.write_bytes(entries)
    else:
        path.write_text(json.dumps(entries), encoding="utf-8")
    return path


@many
@given(st.dictionaries(st.text(max_size=9), good | spoilt | values, max_size=4))
def test_manifests_of_any_json(tmp_path, content):
    path = write(tmp_path, content)
    try:
        entries = read_manifest(path, "/data")
    except RecipeError as error:
        assert str(path) in str(error)
        return
    assert entries and all(entry["length"] > 0 for entry in entries.values())
    assert all(isinstance(entry[key], str) for entry in entries.values() for key in SOUNDS + TEXTS)


@many
@given(st.binary(max_size=60))
def test_manifests_of_any_bytes(tmp_path, content):
    with pytest.raises(RecipeError, match="m.json"):
        read_manifest(write(tmp_path, content))


@pytest.mark.parametrize("key", ENTRY)
@pytest.mark.parametrize("value", [None, "", " ", True, [], -1, float("inf"), float("nan")])
def test_a_spoilt_field_is_named(tmp_path, key, value):
    with pytest.raises(RecipeError, match=f"u1: {key} is "):
        read_manifest(write(tmp_path, {"u1": ENTRY | {key: value}}))


def test_paths_are_filled_in_and_a_byte_order_mark_is_no_harm(tmp_path):
    path = write(tmp_path, b"\xef\xbb\xbf" + json.dumps({"u1": ENTRY}).encode())
    assert read_manifest(path, "/my data")["u1"]["noisy_wav"] == "/my data/n.wav"


def test_a_mistyped_path_is_one_line(tmp_path):
    with pytest.raises(RecipeError, match="gone.json cannot be read: No such file") as error:
        read_manifest(tmp_path / "gone.json")
    assert "\n" not in str(error.value)


def test_ids_may_hold_a_folder_but_lead_out_of_none(tmp_path):
    entries = read_manifest(write(tmp_path, {"p232/p232_001": ENTRY}))
    assert list(entries) == ["p232/p232_001"]
    for name in ("/etc/u1", "../u1", "a/../../u1", "", "u\0", "."):
        with pytest.raises(RecipeError, match="id names no file"):
            read_manifest(write(tmp_path, {name: ENTRY}))


def test_text_may_be_missing_only_where_nothing_reads_it(tmp_path):
    path = write(tmp_path, {"u1": {key: ENTRY[key] for key in ("length", "phones", *SOUNDS)}})
    assert read_manifest(path, texts=["phones"])["u1"]["words"] == ""
    with pytest.raises(RecipeError, match="u1: words is missing"):
        read_manifest(path)
