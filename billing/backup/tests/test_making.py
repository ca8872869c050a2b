"""What a backup of the whole installation does besides dumping."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentflare.partitions import partition_of
from billing.admission.services import admit, capture
from billing.admission.tests.builders import event
from billing.archive.files import path_of
from billing.archive.services import archive_usage
from billing.archive.tests.test_archive import fill
from billing.backup import making, programs, restoring
from billing.backup.calls import State, read_calls
from billing.backup.errors import BackupError
from billing.backup.making import CALLS, make_backup, new_folder
from billing.backup.manifest import Manifest
from billing.backup.restoring import restore_backup
from billing.backup.snapshot import Snapshot, all_books, shared_snapshot
from billing.settlement.services import settle_partition
from billing.usage.models import UsageArchive
from tenants.registry.schemas import tenant_schema


@pytest.fixture(autouse=True)
def _without_dumps(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests have left tenants without number; the drill has dumps."""
    settings.ARCHIVE_DIR, settings.SPOOL_DIR = str(tmp_path / "archive"), str(tmp_path / "spool")
    monkeypatch.setattr(programs, "require", lambda *_, **__: None)
    monkeypatch.setattr(making, "_dump", lambda *_: [])


def backup(folder: Path, **changes: Any) -> Manifest:
    options = {"has_archives": False, "has_calls": True, **changes}
    return make_backup(folder, jobs=1, tell=lambda _: None, **options)


def test_a_call_that_is_booked_while_the_snapshot_is_taken_is_not_lost(
    acme: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Had Redis been read after it, the call would stand in neither of the two."""
    hold = admit(event=event(acme, 9))
    capture(hold, hold.event.with_(cost_nusd=9, status="completed"))

    @contextmanager
    def busy() -> Iterator[Snapshot]:
        with shared_snapshot() as snapshot:
            assert settle_partition(partition=partition_of(acme.code)) > 0
            yield snapshot

    monkeypatch.setattr(making, "shared_snapshot", busy)

    manifest = backup(tmp_path / "backup")

    (books,) = [each for each in manifest.books if each.code == acme.code]
    assert books.records == 0
    calls = read_calls(tmp_path / "backup" / CALLS)
    assert [call.state for call in calls if hold.request_id in call.event] == [State.CAPTURED]


def test_what_was_interrupted_is_no_backup_and_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(making, "_dump", stop)
        with pytest.raises(KeyboardInterrupt):
            backup(tmp_path / "backup")
    assert list(tmp_path.glob("backup*")) == []
    # As a killed one leaves it.
    (tmp_path / "backup.unfinished").mkdir()
    (tmp_path / "backup.unfinished" / "shared.dump").write_text("half")

    backup(tmp_path / "backup")

    names = {path.name for path in (tmp_path / "backup").iterdir()}
    assert names == {"manifest.json", CALLS}
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    with pytest.raises(BackupError, match="is there already"):
        backup(tmp_path / "backup")


def test_an_archive_that_has_changed_is_not_backed_up_as_if_it_had_not(
    acme: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(acme)
    archive_usage(tenant=acme.tenant, before=datetime(2024, 10, 1, tzinfo=UTC))
    with tenant_schema(acme.code):
        names = list(UsageArchive.objects.values_list("file", flat=True))
    # Archives of other tests' tenants are gone with their folders.
    monkeypatch.setattr(
        making,
        "all_books",
        lambda cursor: [each for each in all_books(cursor) if each.code == acme.code],
    )
    manifest = backup(tmp_path / "whole", has_archives=True)
    assert {f"archives/{name}" for name in names} <= {part.file for part in manifest.parts}
    path_of(names[0]).write_bytes(b"other")

    with pytest.raises(BackupError, match=r"is not what was written.*--without-archives"):
        backup(tmp_path / "backup", has_archives=True)

    assert list(tmp_path.glob("backup*")) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BackupError, match="cannot be made"), new_folder(tmp_path / "file" / "x"):
        pass


def test_no_backup_goes_into_an_older_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = backup(tmp_path / "backup")
    monkeypatch.setattr(restoring, "verify_backup", lambda _: manifest)
    monkeypatch.setattr(programs, "server_major", lambda: manifest.postgresql - 1)

    with pytest.raises(BackupError, match=f"the backup is of {manifest.postgresql}"):
        restore_backup(tmp_path / "backup", jobs=1, tell=lambda _: None)
