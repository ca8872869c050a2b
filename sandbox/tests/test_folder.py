import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.embedded.ports import HOST
from sandbox.errors import SandboxError
from sandbox.supervisor import folder as folders
from sandbox.supervisor.folder import DataFolder, State
from sandbox.testing import wait_until
from sandbox.tests.closed_folders import as_nobody, closed_folder, needs_root
from sandbox.tests.disks import small_disk
from sandbox.tests.process_list import still_alive


def opened(path: Path) -> DataFolder:
    folder = DataFolder(path)
    folder.open(pause=time.sleep)
    return folder


def closed(folder: DataFolder) -> None:
    """What the end of the supervisor does."""
    assert folder.lock is not None
    assert folder.children_lock is not None
    folder.lock.close()
    folder.children_lock.close()


def refusal_of(path: Path) -> str:
    with pytest.raises(SandboxError) as refusal:
        opened(path)
    message = str(refusal.value)
    assert "\n" not in message
    return message


def test_secrets_and_ports_stay_the_same(tmp_path: Path) -> None:
    first = opened(tmp_path / "data")
    port = first.port_for("valkey")
    closed(first)

    second = opened(tmp_path / "data")

    assert second.state == first.state
    assert second.port_for("valkey") == port


def test_a_port_that_someone_has_taken_is_replaced(tmp_path: Path) -> None:
    import socket

    folder = opened(tmp_path / "data")
    port = folder.port_for("valkey")
    with socket.create_server((HOST, port)):
        assert folder.port_for("valkey") != port


def test_secrets_are_for_our_eyes_only(tmp_path: Path) -> None:
    opened(tmp_path / "data")

    assert (tmp_path / "data" / "state.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data" / "logs").stat().st_mode & 0o777 == 0o700


def test_two_folders_have_different_secrets(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "one").state, opened(tmp_path / "other").state

    assert one.secret_key != other.secret_key
    assert one.postgres_password != other.postgres_password


def test_a_second_sandbox_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    folder = opened(tmp_path)

    message = refusal_of(tmp_path)

    assert f"a sandbox (process {os.getpid()}) is already running" in message
    assert folder.state.secret_key in (tmp_path / "state.json").read_text()


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    assert "is no sandbox's data folder" in refusal_of(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_start_interrupted_before_its_state_was_written_is_taken_up(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "lock").touch()
    (tmp_path / ".state.json.new").write_text("{")

    assert opened(tmp_path).state.secret_key


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"unknown": 1}', "\0\0\0"])
def test_a_damaged_state_is_refused_and_kept(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "state.json").write_text(damaged)

    assert "state.json is damaged" in refusal_of(tmp_path)
    assert (tmp_path / "state.json").read_text() == damaged


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    assert "File exists" in refusal_of(tmp_path / "data")


@needs_root
def test_a_folder_that_may_not_be_written_is_refused() -> None:
    with closed_folder() as closed:
        closed.chmod(0o755)
        as_nobody(lambda: check_refused(closed, "Permission denied"))


@needs_root
def test_a_folder_that_belongs_to_root_is_refused() -> None:
    with closed_folder() as closed:
        closed.chmod(0o755)
        (closed / "state.json").touch(mode=0o600)
        as_nobody(lambda: check_refused(closed, "Permission denied"))


def check_refused(path: Path, reason: str) -> None:
    message = refusal_of(path)
    assert reason in message
    assert "SANDBOX_DIR=" in message


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with small_disk(tmp_path, size_mb=64) as disk:
        message = refusal_of(disk)

        assert "the disk is full: 67 MB left" in message
        assert list(disk.iterdir()) == []


def test_processes_of_a_killed_sandbox_are_waited_for(tmp_path: Path) -> None:
    first = opened(tmp_path)
    leftover = subprocess.Popen(["sleep", "1"], pass_fds=[first.children_fd])
    closed(first)

    opened(tmp_path)

    assert still_alive({leftover.pid}) == {}
    assert leftover.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_that_do_not_end_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "LEFTOVERS_END_S", 0.2)
    first = opened(tmp_path)
    leftover = subprocess.Popen(["sleep", "60"], pass_fds=[first.children_fd])
    stranger = subprocess.Popen(["sleep", "60"])
    closed(first)

    opened(tmp_path)

    assert leftover.wait(timeout=1) == -9
    assert still_alive({stranger.pid})
    stranger.kill()
    stranger.wait()


def test_the_state_survives_being_written_half(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    (tmp_path / ".state.json.new").write_text('{"secret_key": "ha')
    folder.state.api_key = "oi_1"
    folder.save_state()
    closed(folder)

    assert opened(tmp_path).state.api_key == "oi_1"
    assert State(**json.loads((tmp_path / "state.json").read_text())) == folder.state


def test_secrets_that_came_later_are_added_and_kept(tmp_path: Path) -> None:
    """A folder made before the stand-in for Stripe was there."""
    folder = opened(tmp_path)
    closed(folder)
    older = json.loads((tmp_path / "state.json").read_text())
    del older["stripe_secret_key"], older["stripe_webhook_secret"]
    (tmp_path / "state.json").write_text(json.dumps(older))

    first = opened(tmp_path)
    closed(first)

    assert first.state.secret_key == older["secret_key"]
    assert opened(tmp_path).state == first.state


def test_a_big_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LOG_LIMIT_BYTES", 10)
    folder = opened(tmp_path)
    folder.log("web").write_text("x" * 11)
    folder.log("beat").write_text("short")
    closed(folder)

    opened(tmp_path)

    wait_until(lambda: folder.log("web").with_suffix(".log.1").exists())
    assert not folder.log("web").exists()
    assert folder.log("beat").read_text() == "short"
