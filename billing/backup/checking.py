"""Whether a backup is as it was written."""

from pathlib import Path

from billing.archive.files import digest_of
from billing.backup import programs
from billing.backup.calls import read_calls
from billing.backup.errors import BackupError
from billing.backup.making import CALLS
from billing.backup.manifest import Manifest


def verify_backup(folder: Path) -> Manifest:
    """Every file is read to its end, every dump by PostgreSQL's own program. Raises BackupError,
    which names all files that are not as they were written."""
    manifest = Manifest.read(folder)
    programs.require("pg_restore", major=manifest.postgresql)
    faults = []
    for part in manifest.parts:
        path = folder / part.file
        if not path.is_file():
            faults.append(f"{part.file} is missing")
        elif path.stat().st_size != part.size_bytes or digest_of(path) != part.sha256:
            faults.append(f"{part.file} is not what was written")
        elif part.schemas:
            programs.list_contents(path)
    if faults:
        raise BackupError(f"{folder} is damaged: {'; '.join(faults)}. Take another backup.")
    read_calls(folder / CALLS)
    return manifest
