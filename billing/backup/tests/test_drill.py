"""The drill: an installation is backed up while it serves, and restored elsewhere.

Processes, databases and Redis are real, and of these tests alone: an audit is of all tenants.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from billing.backup.tests.world import USD, Installation, make_database, query
from sandbox.embedded.postgres import Postgres, start_postgres
from sandbox.embedded.valkey import start_valkey
from sandbox.testing import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass
class Drill:
    """A source that was filled, then backed up while it went on; and its Redis as it was on disk
    just before."""

    places: "Places"
    # Has tables, and no tenant.
    upgraded: Installation
    source: Installation
    world: dict[str, Any]
    backup: Path
    redis_copy: Path
    # Calls that had ended before the backup began, by tenant, with what each cost.
    ended: dict[str, dict[str, int]]

    def tenant(self, name: str) -> dict[str, str]:
        found: dict[str, str] = self.world["tenants"][name]
        return found


@dataclass
class Places:
    """Makes installations that hold nothing."""

    folder: Path
    stack: ExitStack
    postgres: Postgres

    def make(self, *, redis_copy: Path | None = None, like: str | None = None) -> Installation:
        """redis_copy: a folder of Redis' data. like: the database that this one is a copy of."""
        folder = self.folder / uuid4().hex[:8]
        folder.mkdir()
        if redis_copy:
            shutil.copytree(redis_copy, folder / "valkey")
        valkey = start_valkey(folder, durable=False)
        self.stack.callback(valkey.stop_quickly)
        name = f"drill_{folder.name}"
        url = make_database(self.postgres.url, name, like=like)
        return Installation(url, valkey.url, folder)


def start_archiving(folder: Path) -> Postgres:
    """A server that keeps its write-ahead log, as docs/backup.md says."""
    server = start_postgres(folder, durable=False)
    kept = folder / "wal"
    kept.mkdir()
    shutil.chown(kept, *owner_of(server.folder))
    query(server.url, "ALTER SYSTEM SET archive_mode = on")
    command = f"test ! -f {kept}/%f && cp %p {kept}/%f.part && mv {kept}/%f.part {kept}/%f"
    query(server.url, f"ALTER SYSTEM SET archive_command = '{command}'")
    server.stop()
    return start_postgres(folder, durable=False, port=server.port, password=server.password)


def owner_of(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


@pytest.fixture(scope="module")
def drill() -> Iterator[Drill]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="drill-")))
        # PostgreSQL may run as somebody else than we.
        folder.chmod(0o711)
        postgres = start_archiving(folder)
        stack.callback(postgres.stop_quickly)
        places = Places(folder, stack, postgres)
        upgraded = places.make()
        upgraded.ask(["manage", "upgrade"])
        source = places.make(like=upgraded.database)
        (world,) = source.ask(["fill"])
        base = [f"--dbname={postgres.url}", "--pgdata", folder / "base", "--checkpoint=fast"]
        subprocess.run([postgres.programs.bin / "pg_basebackup", *base], check=True)
        codes = [world["tenants"][name]["code"] for name in ("acme", "globex")]
        serving = source.start(["serve", *codes])
        assert serving.stdout
        assert serving.stdin
        stack.callback(serving.kill)
        ended = {code: dict(zip(world["waiting"][code], (3, 4), strict=True)) for code in codes}
        for number in range(60):
            ended[codes[number % 2]][serving.stdout.readline().strip()] = 10
        redis_copy = places.folder / "copied"
        # Its append-only file as it stands, under way, as a copy of a disk has it.
        shutil.copytree(source.folder / "valkey", redis_copy)
        (made,) = source.ask(["manage", "backup", places.folder / "backup"])
        assert made["error"] is None
        serving.stdin.write("\n")
        serving.stdin.close()
        assert json.loads(serving.stdout.readlines()[-1])[0]["count"] > 60
        yield Drill(places, upgraded, source, world, places.folder / "backup", redis_copy, ended)


def all_is_there(drill: Drill, found: dict[str, Any]) -> None:
    """What was restored is what had been, and its books are in order."""
    assert found["violations"] == []
    assert found["tenants"].keys() == {each["code"] for each in drill.world["tenants"].values()}
    for code, ended in drill.ended.items():
        calls = found["tenants"][code]["calls"]
        assert ended.items() <= calls.items()
    # Those that ran are charged for what they had delivered.
    of_acme, of_globex = drill.world["running"]
    assert found["tenants"][drill.tenant("acme")["code"]]["calls"][of_acme] == 50
    assert found["tenants"][drill.tenant("globex")["code"]]["calls"][of_globex] == 0
    for each in found["tenants"].values():
        assert each["gate"] == [each["credit"], 0, 0]


def test_what_was_served_is_there_elsewhere_with_an_empty_redis(drill: Drill) -> None:
    elsewhere = drill.places.make()
    acme, initech = drill.tenant("acme"), drill.tenant("initech")

    restored, found, used, refused, again, after = elsewhere.ask(
        ["manage", "restore", drill.backup],
        ["look"],
        ["use_key", acme["key"], acme["code"]],
        ["use_key", initech["key"], initech["code"]],
        ["manage", "restore", drill.backup],
        ["look"],
    )

    assert restored["error"] is None
    assert "Clean: 3 tenants" in restored["said"]
    all_is_there(drill, found)
    bought_and_given = 50 * USD
    spent = sum(found["tenants"][acme["code"]]["calls"].values())
    # Archived months were spent, too.
    archived = 100 + 101
    assert found["tenants"][acme["code"]]["credit"] == bought_and_given - spent - archived
    assert used["status"] == 200
    assert refused["status"] == 403
    assert "A reason." in refused["error"]["message"]
    # The second time: into a database that is not empty.
    assert "not empty" in again["error"]
    assert after["violations"] == []
    credit = after["tenants"][acme["code"]]["credit"]
    assert credit == found["tenants"][acme["code"]]["credit"] - 7


def test_with_a_copy_of_redis_disk_nothing_is_booked_twice(drill: Drill) -> None:
    elsewhere = drill.places.make(redis_copy=drill.redis_copy)

    restored, found, repeated, again = elsewhere.ask(
        ["manage", "restore", drill.backup],
        ["look"],
        ["manage", "rebuild_gate"],
        ["look"],
    )

    assert restored["error"] is None
    all_is_there(drill, found)
    assert repeated["error"] is None
    assert again == found


def test_a_redis_that_is_ahead_of_the_backup_forgets_what_it_was_told(drill: Drill) -> None:
    """It stays where only PostgreSQL is lost: its gates know higher versions of the ledger."""
    code = drill.tenant("acme")["code"]
    balance = f"SELECT balance_nusd FROM t_{code}.ledger_ledgeraccount WHERE code = 'credit'"
    ((later_nusd,),) = drill.source.query(balance)
    elsewhere = drill.places.make(redis_copy=drill.source.folder / "valkey")

    restored, found = elsewhere.ask(["manage", "restore", drill.backup], ["look"])

    assert restored["error"] is None
    all_is_there(drill, found)
    # Gone with PostgreSQL: booked after the backup, and no longer in Redis.
    assert found["tenants"][code]["credit"] > later_nusd


def test_a_restore_that_is_killed_is_repeated(drill: Drill, tmp_path: Path) -> None:
    elsewhere = drill.places.make()
    # Killed when the tenants are there and the shared schema is not.
    programs = tmp_path / "bin"
    programs.mkdir()
    real = Path(elsewhere.environment["POSTGRESQL_BIN"])
    (programs / "pg_restore").write_text(
        f'#!/bin/sh\ncase "$*" in *--single-transaction*) kill -9 $PPID; exit 1;; esac\n'
        f'exec "{real}/pg_restore" "$@"\n'
    )
    (programs / "pg_restore").chmod(0o755)
    # What it has under way is left there.
    variables = {"POSTGRESQL_BIN": str(programs), "TMPDIR": str(tmp_path)}
    killed = elsewhere.start(["manage", "restore", drill.backup], **variables)
    killed.communicate()
    assert killed.returncode == -9
    assert elsewhere.query("SELECT to_regclass('public.registry_tenant')") == [(None,)]
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_%'"
    assert elsewhere.query(schemas) == [(3,)]

    manifest = json.loads((drill.backup / "manifest.json").read_text())
    upgraded, restored, found, _, ended, again, once_more = elsewhere.ask(
        ["manage", "upgrade"],
        ["manage", "restore", drill.backup],
        ["look"],
        # As if killed at its very end, when all was booked.
        ["mark_unfinished", f"{manifest['backup_id']} checked"],
        ["manage", "restore", drill.backup],
        ["look"],
        ["manage", "restore", drill.backup],
    )

    assert "A restore was interrupted here" in upgraded["error"]
    assert restored["error"] is None
    all_is_there(drill, found)
    assert ended["error"] is None
    assert again == found
    assert "not empty" in once_more["error"]


def test_a_point_in_time_is_gone_back_to_and_the_gate_follows(drill: Drill) -> None:
    acme, server = drill.tenant("acme"), drill.places.postgres
    ids = f"SELECT replace(request_id::text, '-', '') FROM t_{acme['code']}.usage_usagerecord"
    credit = f"SELECT balance_nusd FROM t_{acme['code']}.ledger_ledgeraccount WHERE code = 'credit'"
    then = {name for (name,) in drill.source.query(ids)}
    ((then_nusd,),) = drill.source.query(credit)
    ((moment,),) = drill.source.query("SELECT clock_timestamp()::text")
    (used,) = drill.source.ask(["use_key", acme["key"], acme["code"]])
    assert used["status"] == 200
    since = {name for (name,) in drill.source.query(ids)} - then
    ((segment,),) = drill.source.query("SELECT pg_walfile_name(pg_switch_wal())")
    kept = drill.places.folder / "wal"
    wait_until((kept / segment).exists, timeout_s=60)

    folder = drill.places.folder / "then"
    shutil.copytree(drill.places.folder / "base", folder / "postgres")
    with (folder / "postgres" / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            f"archive_mode = off\nrestore_command = 'cp {kept}/%f %p'\n"
            f"recovery_target_time = '{moment}'\nrecovery_target_action = promote\n"
        )
    (folder / "postgres" / "recovery.signal").touch()
    for path in [folder / "postgres", *(folder / "postgres").rglob("*")]:
        shutil.chown(path, *owner_of(server.folder))
    restored = start_postgres(folder, durable=False, password=server.password)
    drill.places.stack.callback(restored.stop_quickly)
    wait_until(lambda: query(restored.url, "SELECT pg_is_in_recovery()") == [(False,)])
    # Redis stayed as it is: it knows a later ledger.
    shutil.copytree(drill.source.folder / "valkey", folder / "valkey")
    valkey = start_valkey(folder, durable=False)
    drill.places.stack.callback(valkey.stop_quickly)
    shutil.copytree(drill.source.folder / "archive", folder / "archive")
    url = urlsplit(restored.url)._replace(path=f"/{drill.source.database}").geturl()

    rebuilt, found = Installation(url, valkey.url, folder).ask(["manage", "rebuild_gate"], ["look"])

    assert rebuilt["error"] is None
    assert found["violations"] == []
    mine = found["tenants"][acme["code"]]
    assert then <= mine["calls"].keys()
    # Booked after the moment, and gone from Redis: lost.
    assert since
    assert not since & mine["calls"].keys()
    later = sum(cost for name, cost in mine["calls"].items() if name not in then)
    assert mine["credit"] == then_nusd - later
    assert mine["gate"] == [mine["credit"], 0, 0]


def test_what_cannot_be_restored_is_refused_before_anything_is_written(
    drill: Drill, tmp_path: Path
) -> None:
    elsewhere = drill.places.make()
    manifest = json.loads((drill.backup / "manifest.json").read_text())

    def changed(name: str, **changes: Any) -> Path:
        folder = tmp_path / name
        shutil.copytree(drill.backup, folder)
        (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))
        return folder

    migrations = manifest["migrations"]
    newer = changed("newer", migrations=[*migrations, "registry.9999_of_tomorrow"])
    earlier = changed("earlier", migrations=migrations[:-1])
    other_key = changed("other-key", secret_key="0" * 64)
    other_form = changed("other-form", format=2)
    of_tomorrow = changed("of-tomorrow", postgresql=99)
    one_tenants = changed("one-tenants", kind="tenant")
    damaged, cut, unfinished = changed("damaged"), changed("cut"), changed("unfinished")
    content = bytearray((damaged / "tenants-0001.dump").read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / "tenants-0001.dump").write_bytes(content)
    (cut / "shared.dump").unlink()
    (unfinished / "manifest.json").unlink()
    cases = {
        newer: "of a newer release: it has the migration registry.9999_of_tomorrow",
        earlier: f"of an earlier release: it lacks the migration {migrations[-1]}",
        other_key: "SECRET_KEY is not the one",
        other_form: "of form 2",
        of_tomorrow: "pg_restore is of PostgreSQL 18, and 99 or newer is needed",
        one_tenants: "restore_tenant",
        damaged: "tenants-0001.dump is not what was written",
        cut: "shared.dump is missing",
        unfinished: "no backup that was finished",
        tmp_path / "nowhere": "no backup that was finished",
    }

    *refused, verified, whole = elsewhere.ask(
        *(["manage", "restore", folder] for folder in cases),
        ["manage", "verify_backup", damaged],
        ["manage", "verify_backup", drill.backup],
    )

    for answer, why in zip(refused, cases.values(), strict=True):
        assert why in answer["error"]
    assert "not what was written" in verified["error"]
    assert whole["error"] is None
    relations = (
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname !~ '^(pg_|information_schema)'"
    )
    assert elsewhere.query(relations) == []
    assert elsewhere.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'r%'") == []
    assert not (elsewhere.folder / "archive").exists()


def test_a_tenant_moves_to_another_installation_alone(drill: Drill, tmp_path: Path) -> None:
    acme = drill.tenant("acme")
    elsewhere = drill.places.make(like=drill.upgraded.database)
    file = tmp_path / "acme.tar"
    (exported, as_it_was) = drill.source.ask(
        ["manage", "export_tenant", acme["slug"], file], ["look"]
    )
    assert exported["error"] is None

    made, restored, found, used, again = elsewhere.ask(
        ["manage", "create_tenant", "other", "--owner-email", "somebody@other.test"],
        ["manage", "restore_tenant", file],
        ["look"],
        ["use_key", acme["key"], acme["code"]],
        ["manage", "restore_tenant", file],
    )

    assert made["error"] is None
    assert restored["error"] is None
    assert found["violations"] == []
    mine, theirs = (look["tenants"][acme["code"]] for look in (found, as_it_was))
    assert theirs["calls"].items() <= mine["calls"].items()
    assert mine["gate"] == [mine["credit"], 0, 0]
    assert used["status"] == 200
    assert "The tenant is here" in again["error"]
    # Whoever is a member there is one here, and nobody else came.
    assert elsewhere.query(
        "SELECT email, role, u.id = k.member_id FROM users_user u"
        " JOIN users_membership m ON m.user_id = u.id"
        f" JOIN registry_tenant t ON t.id = m.tenant_id AND t.code = '{acme['code']}'"
        f" LEFT JOIN t_{acme['code']}.keys_apikey k ON k.member_id IS NOT NULL"
    ) == [(f"owner@{acme['slug']}.test", "owner", None)]
    assert elsewhere.query("SELECT count(*) FROM users_user") == [(2,)]
