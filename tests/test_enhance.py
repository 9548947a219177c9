"""The command that enhances files, as a user types it."""

import json
import os
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_models import enhancer

from corpus.resampling import StreamResampler
from inference.command import carry_out
from inference.enhance import (
    RECORD,
    Job,
    enhance_file,
    in_pieces,
    jobs_for,
    not_done,
    parser,
    run,
    with_gain,
    with_high_band,
)

ROOT = Path(__file__).resolve().parent.parent
FILES = {  # name -> rate, channels, seconds, subtype
    "a.wav": (16000, 1, 3.0, "PCM_16"),
    "b/stereo.flac": (48000, 2, 1.00001, "PCM_24"),
    "b/c/odd.wav": (44100, 1, 0.9, "FLOAT"),
    "b/eight.wav": (96000, 8, 0.3, "PCM_24"),
    "low.ogg": (8000, 1, 1.0, None),
    "tenth.mp3": (16000, 1, 0.1, None),
    "empty.wav": (16000, 1, 0.0, "PCM_16"),
    "two\nlines #1=[é] 'x'.wav": (16000, 1, 0.1, "PCM_16"),
    "telephone.wav": (8000, 1, 1.0, "GSM610"),  # libsndfile cannot seek in it
    os.fsdecode(b"caf\xe9.wav"): (16000, 1, 0.2, "PCM_16"),  # no UTF-8, as out of old archives
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run's folder with an exported small enhancer."""
    folder = tmp_path_factory.mktemp("run #1=[x] '~'")
    enhancer(folder)
    return folder


def write(path, seconds=0.5, rate=16000, channels=1, subtype=None):
    """A sound file of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    signal = np.random.default_rng(0).uniform(-0.2, 0.2, (round(seconds * rate), channels))
    form = path.suffix[1:].upper()
    soundfile.write(os.fsencode(path), signal, rate, subtype=subtype, format=form)
    return path


@pytest.fixture
def sounds(tmp_path):
    """A folder of sound files."""
    for name, (rate, channels, seconds, subtype) in FILES.items():
        write(tmp_path / "in" / name, seconds, rate, channels, subtype)
    return tmp_path / "in"


def enhance(*arguments):
    """Exit code of the command."""
    return carry_out(parser(), run, [str(argument) for argument in arguments])


def test_a_folder_keeps_names_rates_channels_lengths_and_codings(model, sounds, tmp_path):
    assert enhance(sounds, "--model", model, "--output", tmp_path / "out", "--piece", "1") == 0
    for name in FILES:
        paths = [os.fsencode(folder / name) for folder in (sounds, tmp_path / "out")]
        before, after = map(soundfile.info, paths)
        for fact in ("frames", "samplerate", "channels", "format", "subtype"):
            assert getattr(before, fact) == getattr(after, fact), (name, fact)
        signal, _ = soundfile.read(paths[1], frames=after.frames)
        assert np.isfinite(signal).all() and (len(signal) == 0 or np.abs(signal).max() > 0.01)


def test_channels_do_not_leak_into_each_other(model, tmp_path):
    signal = np.random.default_rng(0).uniform(-0.2, 0.2, (16000, 2))
    signal[:, 1] = 0
    soundfile.write(tmp_path / "x.wav", signal, 16000)
    output = tmp_path / "y.wav"
    assert enhance(tmp_path / "x.wav", "--model", model / "model", "--output", output) == 0
    enhanced, _ = soundfile.read(output)
    assert np.abs(enhanced[:, 0]).max() > 0.01 and not enhanced[:, 1].any()


@pytest.mark.parametrize("samples", [0, 1, 16000, 16001, 40192, 99999])
def test_pieces_are_given_limited_lengths_and_join_without_a_seam(samples):
    signal, lengths = np.random.default_rng(0).standard_normal(samples).astype(np.float32), []
    pieces = in_pieces(signal, lambda x: lengths.append(len(x)) or 0.5 * x, longest=1.0)
    assert np.allclose(np.concatenate(list(pieces)), 0.5 * signal, atol=1e-6)
    assert max(lengths) <= 3 * 16000


def test_pieces_that_differ_are_faded_into_each_other():
    louder = iter([1.0, 2.0, 3.0])
    pieces = in_pieces(np.ones(48000, np.float32), lambda x: next(louder) * x, longest=1.0)
    steps = np.abs(np.diff(np.concatenate(list(pieces))))
    assert 0 < steps.max() < 2e-4


def enhanced(path, network, longest=20.0, **options):
    """The samples of a file that a function of [samples] at 16 kHz has enhanced."""
    target = path.with_name(f"enhanced {path.name}")
    enhance_file(Job(path, target, path.name), network, longest, **options)
    return soundfile.read(target, dtype="float32")[0]


def level(signal, frequency, rate):
    """Amplitude of a sine in a signal."""
    return 2 * abs(
        np.mean(signal * np.exp(-2j * np.pi * frequency / rate * np.arange(len(signal))))
    )


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
def test_where_nothing_is_masked_the_whole_band_comes_back(tmp_path, rate):
    path = write(tmp_path / "x.wav", 1.23457, rate, subtype="FLOAT")
    signal, _ = soundfile.read(path, dtype="float32")
    apart, ends = np.abs(enhanced(path, lambda x: x, longest=1.0) - signal), rate // 250
    assert len(apart) == len(signal) and apart[ends:-ends].max() < 1e-4  # the gain rings at the end


def test_a_high_tone_follows_the_mask_of_the_highest_band(tmp_path):
    time, half = np.arange(2 * 48000) / 48000, 48000
    tones = sum(0.2 * np.sin(2 * np.pi * hertz * time) for hertz in (7000, 12000))
    soundfile.write(tmp_path / "x.wav", tones, 48000, subtype="FLOAT")
    mask = np.repeat([0.5, 0.0], 16000).astype(np.float32)  # speech, then noise alone
    signal = enhanced(tmp_path / "x.wav", lambda x: mask * x)
    parts = {"speech": signal[4800 : half - 4800], "noise": signal[half + 4800 : -4800]}
    for hertz in (7000, 12000):
        assert level(parts["speech"], hertz, 48000) == pytest.approx(0.1, abs=0.002)
        assert level(parts["noise"], hertz, 48000) < 1e-3
    low = enhanced(tmp_path / "x.wav", lambda x: mask * x, high_band=False)
    assert level(low[:half], 7000, 48000) > 0.09 and level(low[:half], 12000, 48000) < 1e-4


def test_the_high_band_is_the_same_whole_and_in_pieces(tmp_path):
    path, swell = tmp_path / "x.wav", np.sin(np.linspace(0, 9, 216000)) ** 2
    soundfile.write(path, swell * np.random.default_rng(0).uniform(-0.5, 0.5, 216000), 48000)

    def network(signal):  # its gain follows the level
        return signal * np.convolve(np.abs(signal), np.full(1600, 2e-3, np.float32), "same")

    whole, pieces = (enhanced(path, network, longest=seconds) for seconds in (20.0, 1.0))
    assert np.abs(whole - pieces).max() < 0.003 and np.abs(whole).max() > 0.2


def test_the_high_band_needs_two_pieces_at_a_time(tmp_path):
    path, read = write(tmp_path / "x.wav", 10, 48000), []

    def pieces():
        work = partial(with_gain, enhance=lambda signal: signal)
        for piece in in_pieces(np.zeros(160000, np.float32), work, 1.0):
            read.append(weakref.ref(piece))
            yield piece

    blocks = with_high_band(pieces(), StreamResampler(16000, 48000), path, 0)
    for number, block in enumerate(blocks, start=1):
        assert len(read) <= number + 1 and len(block) <= 2 * 48000
        assert sum(piece() is not None for piece in read) <= 2


def test_no_high_band_no_change(tmp_path):
    for rate in (8000, 16000):
        path = write(tmp_path / "x.wav", 0.7, rate)
        low = enhanced(path, lambda x: 0.3 * x, high_band=False)
        assert (enhanced(path, lambda x: 0.3 * x) == low).all()


def test_the_ready_made_model_is_found_from_any_folder(model, tmp_path, monkeypatch, capsys):
    assert parser().parse_args(["a.wav", "--output", "o"]).model == ROOT / "pretrained"
    monkeypatch.chdir(tmp_path), write(tmp_path / "a.wav")
    monkeypatch.setattr("inference.enhance.PRETRAINED", model / "model")
    assert enhance("a.wav", "--output", "out") == 0
    assert f"Model: {(model / 'model').resolve()}\n" in capsys.readouterr().out
    monkeypatch.setattr("inference.enhance.PRETRAINED", tmp_path / "gone")
    assert enhance("a.wav", "--output", "out") == 2
    assert "gone: no exported model there" in capsys.readouterr().err


def test_goes_on_after_an_interruption_and_refuses_to_overwrite(model, tmp_path, capsys):
    sounds, out = tmp_path / "in", tmp_path / "out"
    for name in "abcdef":
        write(sounds / f"{name}.wav")
    assert enhance(sounds, "--model", model, "--output", out) == 0
    record = (out / RECORD).read_text().splitlines()
    torn = "\n".join(record[:3]) + "\n" + record[3][:20]  # killed while it noted the fourth
    (out / RECORD).write_text(torn)
    names = [json.loads(line)["name"] for line in record]
    for name in names[3:]:
        (out / name).unlink()
    times = {name: (out / name).stat().st_mtime_ns for name in names[:3]}
    assert enhance(sounds, "--model", model, "--output", out) == 0
    assert "3 files (3 were there already)" in capsys.readouterr().out
    assert times == {name: (out / name).stat().st_mtime_ns for name in times}
    assert all((out / name).exists() for name in names)
    soundfile.write(sounds / "a.wav", np.zeros(100), 16000)
    assert enhance(sounds, "--model", model, "--output", out) == 2
    assert "a.wav" in capsys.readouterr().err
    assert enhance(sounds, "--model", model, "--output", out, "--overwrite") == 0
    assert soundfile.info(out / "a.wav").frames == 100


def test_the_search_for_finished_files_grows_with_their_number(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir(), (tmp_path / "out").mkdir()
    for number in range(300):
        (tmp_path / f"in/{number}.wav").touch()
        (tmp_path / f"out/{number}.wav").touch()
    jobs, folder = jobs_for([tmp_path / "in"], tmp_path / "out")
    (folder / RECORD).write_text("".join(job.mark("m") + "\n" for job in jobs))
    compared = []
    monkeypatch.setattr(type(jobs[0]), "__eq__", lambda *pair: compared.append(pair))
    assert not_done(jobs, folder / RECORD, "m") == [] and len(compared) <= 300


def test_one_bad_file_costs_itself(model, tmp_path, capsys):
    sounds = tmp_path / "in"
    write(sounds / "good.wav"), write(sounds / "prime.wav", rate=44099)
    (sounds / "bad.wav").write_bytes(b"no sound")
    soundfile.write(sounds / "nan.wav", np.full(4000, np.nan), 16000, subtype="FLOAT")
    assert enhance(sounds, "--model", model, "--output", tmp_path / "out") == 1
    errors = capsys.readouterr().err
    assert "3 failed" in errors and all(n in errors for n in ("bad.wav", "nan.wav", "prime.wav"))
    assert sorted(os.listdir(tmp_path / "out")) == [RECORD, "good.wav"]


def test_a_stream_of_unknown_length_is_read_whole(model, tmp_path):
    for size in (b"\xff\xff\xff\xff", b"\x00\xf0\xff\x7f"):  # of ffmpeg, of sox
        data = bytearray(write(tmp_path / "x.wav", 1.0).read_bytes())
        place = data.index(b"data") + 4
        data[4:8] = data[place : place + 4] = size
        (tmp_path / "x.wav").write_bytes(data)
        output = ("--output", tmp_path / "y.wav", "--overwrite")
        assert enhance(tmp_path / "x.wav", "--model", model, *output) == 0
        assert soundfile.info(tmp_path / "y.wav").frames == 16000


def test_an_output_inside_the_input_is_not_input(model, tmp_path, capsys):
    write(tmp_path / "in/a.wav")
    for words in ("1 files", "Nothing to do"):
        assert enhance(tmp_path / "in", "--model", model, "--output", tmp_path / "in/out") == 0
        assert words in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "in/out").rglob("*.wav")] == ["a.wav"]


def test_links_to_folders_are_followed_and_junk_is_passed_over(model, tmp_path):
    write(tmp_path / "far/b.wav")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link").symlink_to(tmp_path / "far")
    (tmp_path / "in/back").symlink_to(tmp_path / "in")
    (tmp_path / "far/._b.wav").write_bytes(b"\0\5\26\7")
    assert enhance(tmp_path / "in", "--model", model, "--output", tmp_path / "out") == 0
    assert [str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.wav")] == [
        "link/b.wav"
    ]


@pytest.mark.parametrize("output", ["in", "in/a.wav", "link", "hard/a.wav"])
def test_an_input_is_never_replaced_by_its_output(model, tmp_path, capsys, output):
    before = write(tmp_path / "in/a.wav").read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (tmp_path / "hard").mkdir(), os.link(tmp_path / "in/a.wav", tmp_path / "hard/a.wav")
    where = ("--output", tmp_path / output, "--overwrite")
    assert enhance(tmp_path / "in/a.wav", "--model", model, *where) == 2
    assert "its own input" in capsys.readouterr().err
    assert (tmp_path / "in/a.wav").read_bytes() == before


@pytest.mark.parametrize(
    "inputs, output, words",
    [
        (["gone.wav"], "out", "no such file"),
        (["in", "in/a.wav"], "out", "same name"),
        (["in"], "out.wav", "Give a folder"),
        (["nothing"], "out", "no sound files"),
        (["in"], "in/a.wav/out", "cannot be used"),
        (["in/a.wav"], "in/a.wav/b.wav", "cannot be used"),
    ],
)
def test_mistakes_are_told(model, tmp_path, monkeypatch, capsys, inputs, output, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nothing").mkdir(), write(tmp_path / "in/a.wav")
    assert enhance(*inputs, "--model", model, "--output", output) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "option, value, words",
    [
        ("--device", "cuda:99", "invalid choice"),
        ("--device", "gpu", "invalid choice"),
        ("--threads", "-1", "whole number from 1"),
        ("--threads", "x", "whole number from 1"),
        ("--piece", "0", "seconds"),
        ("--piece", "-3", "seconds"),
        ("--piece", "nan", "seconds"),
        ("--piece", "inf", "seconds"),
        ("--output", "", "typed_path"),
    ],
)
def test_options_out_of_range_are_told(capsys, option, value, words):
    with pytest.raises(SystemExit) as stopped:
        enhance("a.wav", "--model", "m", "--output", "o", f"{option}={value}")
    assert stopped.value.code == 2 and words in capsys.readouterr().err


def test_a_gpu_is_the_default_where_there_is_one(monkeypatch):
    arguments = ["a.wav", "--model", "m", "--output", "o"]
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr("torch.cuda.is_available", lambda found=there: found)
        monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
        assert parser().parse_args(arguments).device == expected


def test_a_folder_without_permission_is_told(model, tmp_path, monkeypatch, capsys):
    write(tmp_path / "a.wav")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    assert enhance(tmp_path / "a.wav", "--model", model, "--output", tmp_path / "out") == 2
    assert "no permission" in capsys.readouterr().err


def test_a_damaged_or_missing_model_is_told(model, tmp_path, capsys):
    write(tmp_path / "a.wav"), enhancer(tmp_path / "run")
    where = ("--output", tmp_path / "out")
    assert enhance(tmp_path / "a.wav", "--model", tmp_path, *where) == 2
    assert "no exported model" in capsys.readouterr().err
    (tmp_path / "run/model/enhancer.ckpt").write_bytes(b"cut")
    assert enhance(tmp_path / "a.wav", "--model", tmp_path / "run", *where) == 2
    assert "damaged" in capsys.readouterr().err


def test_a_leading_tilde_is_the_home_folder_or_a_file_of_that_name(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write(tmp_path / "home/a.wav"), write(tmp_path / "~nobody.wav")
    assert enhance("~/a.wav", "~nobody.wav", "--model", model, "--output", "~/out") == 0
    assert len(list((tmp_path / "home/out").glob("*.wav"))) == 2
