"""Download, unpack and resample, from a local server that breaks off and forgets ranges."""

import io
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile
from corpora import SENTENCES, write_corpus

import data_prep
from corpus.layout import TEST, TRAIN
from corpus.resampling import StreamResampler, resample
from corpus.voicebank import download, fetch, resample_corpus, unpack
from errors import RecipeError


class Server(ThreadingHTTPServer):
    """Serves ``files`` (name -> bytes); ``cut`` (name -> bytes sent before it hangs up, once)."""

    def __init__(self, files, ranges=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.ranges, self.cut, self.busy, self.log = files, ranges, {}, [], []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        wanted = self.headers.get("Range")
        self.server.log.append((name, wanted))
        if self.server.busy:
            return self.send_error(self.server.busy.pop())
        if name not in self.server.files:
            return self.send_error(404)
        content = self.server.files[name]
        start = int(wanted[len("bytes=") : -1]) if wanted and self.server.ranges else 0
        if start >= len(content) > 0 and start:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start : start + self.server.cut.pop(name, len(content))])

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(files, ranges=True):
        servers.append(Server(files, ranges))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def archives(tmp_path):
    """The six archives of a small corpus at 48 kHz, each with its own folder, as published."""
    packed = {}
    for folder in write_corpus(tmp_path / "origin", SENTENCES, suffix="", rate=48000).iterdir():
        files = {f"{folder.name}/{path.name}": path.read_bytes() for path in folder.iterdir()}
        packed[f"{folder.name}.zip"] = zipped(files)
    return packed


def zipped(files):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return memory.getvalue()


def get(server, folder, speakers=28):
    return download(folder, server.url, speakers, pause=0.01)


def test_whole_corpus_with_one_archive_cut_short(serve, archives, tmp_path):
    server = serve(archives | {"logfiles.zip": zipped({"log_testset.txt": b"p232_001 bus 17.5\n"})})
    server.cut["noisy_testset_wav.zip"] = 1000
    assert get(server, tmp_path / "data")
    assert resample_corpus(tmp_path / "data") == (12, [])
    assert ("noisy_testset_wav.zip", "bytes=1000-") in server.log
    info = soundfile.info(tmp_path / "data" / "noisy_testset_wav_16k" / "p232_001.wav")
    assert (info.samplerate, info.frames, info.subtype) == (16000, 8000, "PCM_16")
    paths = data_prep.prepare(tmp_path / "data", tmp_path / "save", ["p226"])
    assert '"noise": "bus"' in paths["test"].read_text()
    assert not list((tmp_path / "data").rglob("*.part"))


def test_repeating_fetches_and_writes_nothing(serve, archives, tmp_path):
    server = serve(archives | {"logfiles.zip": zipped({"log_testset.txt": b""})})
    get(server, tmp_path / "data")
    server.log.clear()
    (tmp_path / "data" / "archives" / "testset_txt.zip").unlink()  # to save room
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.wav")}
    get(server, tmp_path / "data")
    assert server.log == []
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.wav")}


def test_an_interrupted_run_goes_on(serve, archives, tmp_path):
    data = tmp_path / "data"
    get(serve(archives), data)
    resample_corpus(data)
    lost = data / "clean_testset_wav_16k" / "p232_001.wav"
    expected = lost.read_bytes()
    lost.unlink()
    (data / "archives" / "clean_trainset_28spk_wav.zip.unpacked").unlink()
    (data / "clean_trainset_28spk_wav" / "p226_001.wav").write_bytes(b"half")
    get(serve(archives), data)
    assert resample_corpus(data) == (1, [])
    assert lost.read_bytes() == expected
    assert soundfile.info(data / "clean_trainset_28spk_wav" / "p226_001.wav").frames == 24000


def test_logs_are_optional_and_archives_are_not(serve, archives, tmp_path):
    assert not get(serve(archives), tmp_path / "data")
    archives.pop("testset_txt.zip")
    server = serve(archives)
    with pytest.raises(RecipeError, match="testset_txt.zip: HTTP Error 404.*--base_url"):
        get(server, tmp_path / "other")
    # asked once: a 404 stays a 404
    assert [name for name, _ in server.log].count("testset_txt.zip") == 1


def test_the_set_of_56_speakers(serve, archives, tmp_path):
    server = serve({name.replace("28spk", "56spk"): data for name, data in archives.items()})
    get(server, tmp_path / "data", speakers=56)
    found = {path.name for path in (tmp_path / "data").iterdir()} - {"archives"}
    parts = (TRAIN[56], TEST)
    assert found == {name for part in parts for name in (part.clean, part.noisy, part.text)}


def test_a_mistyped_mirror_is_told(tmp_path, capsys):
    command = ["download", f"--data_folder={tmp_path}", "--base_url=datashare"]
    assert data_prep.main(command) == 2 and "--base_url datashare" in capsys.readouterr().err


@pytest.mark.parametrize("ranges", [True, False])
def test_resume_with_and_without_ranges(serve, tmp_path, ranges):
    content = np.random.default_rng(0).bytes(50_000)
    server = serve({"file": content}, ranges)
    server.cut["file"] = 20_000
    assert fetch(f"{server.url}/file", tmp_path / "file", pause=0.01).read_bytes() == content
    assert server.log == [("file", None), ("file", "bytes=20000-")]


@pytest.mark.parametrize("kept", [50_000, 60_000])
def test_a_part_that_is_whole_or_too_long(serve, tmp_path, kept):
    content = np.random.default_rng(0).bytes(50_000)
    (tmp_path / "file.part").write_bytes((content + bytes(10_000))[:kept])
    server = serve({"file": content})
    assert fetch(f"{server.url}/file", tmp_path / "file", pause=0.01).read_bytes() == content
    assert [wanted for _, wanted in server.log] == [f"bytes={kept}-", None]


def test_attempts_are_counted(serve, tmp_path):
    server = serve({"file": b"x"})
    server.busy = [503, 503]
    path = fetch(f"{server.url}/file", tmp_path / "file", attempts=3, pause=0.01)
    assert path.read_bytes() == b"x"
    server.busy = [503] * 3
    with pytest.raises(RecipeError, match=r"after 3 attempt"):
        fetch(f"{server.url}/file", tmp_path / "other", attempts=3, pause=0.01)
    with pytest.raises(RecipeError, match="Cannot download"):
        fetch("http://127.0.0.1:1/file", tmp_path / "other", attempts=2, pause=0.01)


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt"])
def test_nothing_leaves_the_folder(tmp_path, name):
    archive = tmp_path / "in" / "set.zip"
    archive.parent.mkdir()
    archive.write_bytes(zipped({"set/good.txt": b"good", name: b"evil"}))
    with pytest.raises(RecipeError, match="leaves the folder"):
        unpack(archive, tmp_path / "out")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "not a zip"])
def test_damaged_archives_are_deleted_and_named(tmp_path, damage):
    content = zipped({"set/good.txt": np.random.default_rng(0).bytes(5000)})
    if damage == "truncated":
        content = content[:3000]
    elif damage == "flipped":
        content = content[:2000] + bytes([content[2000] ^ 255]) + content[2001:]
    archive = tmp_path / "set.zip"
    archive.write_bytes(content if damage != "not a zip" else b"<html>please log in</html>")
    with pytest.raises(RecipeError, match="set.zip is damaged.*deleted"):
        unpack(archive, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_litter_stays_out_and_flat_archives_get_a_folder(tmp_path):
    archive = tmp_path / "set.zip"
    archive.write_bytes(zipped({"a.txt": b"a", "__MACOSX/._a.txt": b"", ".DS_Store": b""}))
    unpack(archive, tmp_path)
    (unpacked,) = (tmp_path / "set").rglob("*")
    assert unpacked == tmp_path / "set" / "a.txt" and unpacked.read_bytes() == b"a"


def test_resampling_keeps_the_band_and_drops_what_would_fold_back():
    time = np.arange(48000, dtype=np.float64) / 48000  # s
    for pitch, expected in ((1000, 0.5), (7000, 0.5), (9000, 0.0), (20000, 0.0)):  # Hz, amplitude
        tone = (0.5 * np.sin(2 * np.pi * pitch * time)).astype(np.float32)
        middle = resample(tone, 48000, 16000)[2000:-2000]
        assert len(middle) == 12000
        assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_stream_is_resampled_as_the_whole(rate):
    signal = np.random.default_rng(0).uniform(-1, 1, rate).astype(np.float32)
    stream = StreamResampler(rate, 16000)
    blocks = list(stream.stream(np.array_split(signal, 7)))
    assert stream.length(rate) == 16000
    np.testing.assert_allclose(np.concatenate(blocks), resample(signal, rate, 16000), atol=1e-6)


@pytest.mark.parametrize("rate", [44099, 22254, 16001, 192001])
def test_rates_that_would_fill_the_memory_are_refused(rate):
    with pytest.raises(RecipeError, match=f"{rate} Hz cannot be brought to 16000 Hz directly"):
        resample(np.zeros(100, np.float32), rate, 16000)


def test_empty_sound_is_resampled_to_empty():
    assert resample(np.zeros(0, np.float32), 48000, 16000).size == 0


def test_nothing_to_resample_is_said(tmp_path, capsys):
    (tmp_path / "clean_testset_wav").mkdir()
    assert data_prep.main(["resample", f"--data_folder={tmp_path}"]) == 2
    assert "nothing to resample" in capsys.readouterr().err
    assert not (tmp_path / "clean_testset_wav_16k").exists()


def test_upper_case_nested_and_junk_files_are_resampled(tmp_path):
    folder = tmp_path / "clean_testset_wav" / "clean_testset_wav"
    corpus = write_corpus(tmp_path / "origin", SENTENCES, suffix="", rate=48000)
    (corpus / "clean_testset_wav").rename(tmp_path / "inner")
    folder.parent.mkdir()
    (tmp_path / "inner").rename(folder)
    (folder / "p232_001.wav").rename(folder / "p232_001.WAV")
    (folder / "._p232_001.wav").write_bytes(b"Mac OS X")
    (folder / "Thumbs.db").write_bytes(b"")
    assert resample_corpus(tmp_path) == (2, [])
    target = tmp_path / "clean_testset_wav_16k"
    assert sorted(path.name for path in target.iterdir()) == ["p232_001.wav", "p257_001.wav"]


def test_one_bad_file_costs_itself(tmp_path, capsys):
    corpus = write_corpus(tmp_path / "data", SENTENCES, suffix="", rate=48000)
    folder = corpus / "noisy_testset_wav"
    (folder / "p232_001.wav").write_bytes(b"no sound")
    soundfile.write(folder / "p257_001.wav", np.zeros(100), 44099)
    os.rename(corpus / "clean_testset_wav/p232_001.wav",
              os.fsencode(corpus / "clean_testset_wav") + b"/caf\xe9_001.wav")  # fmt: skip
    assert data_prep.main(["resample", f"--data_folder={corpus}"]) == 1
    said = capsys.readouterr()
    assert "2 failed" in said.err and "10 files" in said.out
    assert "p232_001.wav" in said.err and "44099 Hz" in said.err
