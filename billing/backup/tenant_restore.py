"""A tenant out of its file: where it is not known any more, elsewhere, or in its own place.

Rows, schema and people are one transaction: all of it or nothing. Its gate is made from the ledger
then, and its calls that were not booked are.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psycopg
from django.apps import apps
from django.contrib.auth.hashers import make_password
from django.db import connection, models, transaction
from django_tenants.utils import schema_context
from psycopg import sql

from agentflare.partitions import partition_of
from billing import invariants
from billing.admission.rebuilding import rebuild_gate
from billing.admission.selectors import running_holds
from billing.backup.calls import PutBack, parse_calls, pending_calls, put_back
from billing.backup.decisions import DECISIONS, Comes
from billing.backup.errors import BackupError
from billing.backup.making import ARCHIVES, CALLS
from billing.backup.manifest import NAME, Manifest, Part
from billing.backup.restoring import put_archive, require_redis
from billing.backup.snapshot import Books, books_of
from billing.backup.tenant_export import KIND, ROWS, TABLES, refuse_in_outage
from billing.business.rolling_up import roll_up
from billing.settlement.services import settle_partition
from tenants.audit import services as audit
from tenants.operators.services import record
from tenants.registry.models import Domain, Plan, Tenant
from tenants.registry.schemas import create_schema, tenant_schema
from tenants.registry.services import is_slug_taken
from tenants.users.models import User

_BY_HAND = {"registry.Tenant", "users.User", "account.EmailAddress", "mfa.Authenticator"}
_PIECE = 1 << 20
Row = dict[str, Any]


@dataclass(slots=True)
class RestoredTenant:
    """before: the books that were in its place. kept_schema: where those are. notes: what is not as
    it was. violations: of the audit's rules."""

    tenant: Tenant
    books: Books
    calls: PutBack
    before: Books | None = None
    kept_schema: str = ""
    notes: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


def restore_tenant(file: Path, *, replaces: bool = False) -> RestoredTenant:
    """replaces: the tenant is here and stays, with its people; its schema is put aside, and the
    file's takes its place. Raises BackupError; then nothing has changed."""
    with _opened(file) as (tar, manifest):
        manifest.require_this_release()
        require_redis()
        work = _Restore(tar, manifest)
        if replaces:
            work.require_still()
        with schema_context("public"), transaction.atomic():
            work.put_in_place() if replaces else work.put_as_new()
        return work.bring_up_to_date()


@contextmanager
def _opened(file: Path) -> Iterator[tuple[tarfile.TarFile, Manifest]]:
    """The file, after each of its parts was read. Raises BackupError."""
    with ExitStack() as stack:
        try:
            tar = stack.enter_context(tarfile.open(file, "r:"))
            text = _member(tar, NAME).read()
            manifest = Manifest.loads(text, name=f"{NAME} of {file}", kind=KIND)
            damaged = [part.file for part in manifest.parts if _digest(tar, part) != part.sha256]
        except (OSError, tarfile.TarError, KeyError) as exc:
            raise BackupError(f"{file} cannot be read as a tenant's export: {exc}") from None
        if damaged:
            raise BackupError(f"{file} is damaged: {damaged[0]} is not what was written.")
        yield tar, manifest


def _digest(tar: tarfile.TarFile, part: Part) -> str:
    digest = hashlib.sha256()
    with _member(tar, part.file) as source:
        while piece := source.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    """Raises KeyError."""
    found = tar.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found


class _Restore:
    """The steps of one restore, and what they have to know of each other."""

    def __init__(self, tar: tarfile.TarFile, manifest: Manifest) -> None:
        self._tar, self._manifest = tar, manifest
        (self._books,) = manifest.books
        self._rows: dict[str, list[Row]] = json.loads(_member(tar, ROWS).read())
        (self._row,) = self._rows["registry.Tenant"]
        self._tenant: Tenant
        self._before: Books | None = None
        self._kept_schema = ""
        self._notes: list[str] = []
        # A person's number in the file → here.
        self._people: dict[int, int] = {}

    # --- Where it is not known -------------------------------------------------------

    def put_as_new(self) -> None:
        self._require_free()
        self._tenant = self._insert_tenant()
        create_schema(self._tenant.schema_name)
        self._insert_people()
        for label, decision in DECISIONS.items():
            if isinstance(decision, Comes) and label not in _BY_HAND:
                self._insert_rows(label, decision)
        self._fill_schema()

    def _require_free(self) -> None:
        code, slug, schema = (self._row[name] for name in ("code", "slug", "schema_name"))
        if there := Tenant.objects.filter(code=code).first():
            raise BackupError(
                f"The tenant is here: {there.slug} has its code {code}. --replace puts the file's "
                "schema in the place of the one it has."
            )
        if is_slug_taken(slug):
            raise BackupError(
                f"Another tenant has the address {slug}, or had it: change that one's first."
            )
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [schema])
            if cursor.fetchone()[0]:
                raise BackupError(
                    f"There is a schema {schema} without a tenant. Put it aside: "
                    f'ALTER SCHEMA "{schema}" RENAME TO "aside_{code}".'
                )
        wanted = {row["domain"] for row in self._rows["registry.Domain"]}
        if taken := list(Domain.objects.filter(domain__in=wanted).values_list("domain", flat=True)):
            raise BackupError(f"Another tenant has the domain {taken[0]}.")

    def _insert_tenant(self) -> Tenant:
        plan = self._manifest.facts["plan"]
        here = Plan.objects.filter(slug=plan).first() if plan else None
        if plan and here is None:
            self._notes.append(f"There is no plan {plan} here: it is on the default one.")
        row = {**self._row, "plan_id": here.pk if here else None}
        pk = _insert(Tenant, row)
        return Tenant.objects.get(pk=pk)

    def _insert_people(self) -> None:
        """Who is known here by address stays as they are; the others come with what they sign in
        by, and without rights of staff."""
        by_address = dict(User.objects.values_list("email", "pk"))
        for number, (email,) in self._manifest.facts["people"].items():
            if email in by_address:
                self._people[int(number)] = by_address[email]
        second_factors = self._rows["mfa.Authenticator"]
        has_key = self._manifest.has_our_secret_key()
        for row in self._rows["users.User"]:
            if row["id"] in self._people:
                continue
            changes: Row = {"is_staff": False, "is_superuser": False}
            factors = [each for each in second_factors if each["user_id"] == row["id"]]
            if factors and not has_key:
                # Without the second one the first alone must not be enough.
                changes["password"] = make_password(None)
                self._notes.append(
                    f"{row['email']} has a second factor that cannot be read here, and no "
                    "password until they ask for a new one."
                )
            self._people[row["id"]] = pk = int(_insert(User, {**row, **changes}))
            own = [x for x in self._rows["account.EmailAddress"] if x["user_id"] == row["id"]]
            for label, found in (
                ("account.EmailAddress", own),
                ("mfa.Authenticator", factors if has_key else []),
            ):
                for each in found:
                    _insert(apps.get_model(label), {**each, "user_id": pk}, may_be_there=True)

    def _insert_rows(self, label: str, decision: Comes) -> None:
        model = apps.get_model(label)
        for row in self._rows[label]:
            placed = dict(row)
            is_lost = False
            for each in model._meta.concrete_fields:
                if each.related_model is Tenant:
                    placed[each.column] = self._tenant.pk
                elif each.related_model is User and row[each.column] is not None:
                    placed[each.column] = self._people.get(row[each.column])
                    is_lost = is_lost or (placed[each.column] is None and not each.null)
            if not is_lost:
                _insert(model, placed, may_be_there=decision.may_be_there)

    # --- In its own place ------------------------------------------------------------

    def require_still(self) -> None:
        """Raises BackupError unless the tenant is here, is not served, and has nothing under
        way: what is booked meanwhile would be booked into the schema that is put aside."""
        tenant = Tenant.objects.filter(code=self._row["code"]).first()
        if tenant is None:
            raise BackupError("The tenant is not here: restore it without --replace.")
        if not (tenant.is_suspended or tenant.closed):
            raise BackupError(
                f"{tenant.slug} is being served: `manage.py suspend_tenant {tenant.slug}` first."
            )
        refuse_in_outage(tenant)
        settle_partition(partition=partition_of(tenant.code))
        if running_holds(tenant.code):
            raise BackupError(f"Calls of {tenant.slug} still run: repeat it in a moment.")
        if pending_calls(tenant_code=tenant.code):
            raise BackupError(
                f"{tenant.slug} has calls that the ledger cannot take: `manage.py dead_letters`."
            )
        self._tenant = tenant

    def put_in_place(self) -> None:
        tenant = Tenant.objects.select_for_update().get(pk=self._tenant.pk)
        schema = tenant.schema_name
        self._kept_schema = f"replaced_{tenant.code}_{datetime.now(UTC):%Y%m%d%H%M%S}"
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [schema])
            (is_there,) = cursor.fetchone()
            if is_there:
                try:
                    with transaction.atomic():
                        self._before = books_of(_raw(), tenant.code, tenant.slug, schema)
                except psycopg.Error:
                    self._notes.append("The schema that was there is damaged.")
                cursor.execute(f'ALTER SCHEMA "{schema}" RENAME TO "{self._kept_schema}"')
            else:
                self._kept_schema = ""
        create_schema(schema)
        by_address = dict(User.objects.values_list("email", "pk"))
        self._people = {
            int(number): by_address[email]
            for number, (email,) in self._manifest.facts["people"].items()
            if email in by_address
        }
        self._fill_schema()
        if self._before:
            self._keep_revocations(schema)

    def _keep_revocations(self, schema: str) -> None:
        """A key that has been revoked since stays so."""
        with connection.cursor() as cursor:
            cursor.execute(
                f'UPDATE "{schema}".keys_apikey new SET revoked_at = old.revoked_at'  # noqa: S608  # our own names
                f' FROM "{self._kept_schema}".keys_apikey old'
                " WHERE old.key_id = new.key_id AND new.revoked_at IS NULL"
                " AND old.revoked_at IS NOT NULL"
            )
            if cursor.rowcount:
                self._notes.append(f"{cursor.rowcount} keys that were revoked since stay so.")

    # --- Both ------------------------------------------------------------------------

    def _fill_schema(self) -> None:
        schema = self._tenant.schema_name
        tables: dict[str, list[str]] = self._manifest.facts["tables"]
        names = {table: sql.Identifier(schema, table) for table in tables}
        raw = _raw()
        # A new schema has rows of its migrations.
        raw.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names.values())))
        for table, columns in tables.items():
            copy = sql.SQL("COPY {} ({}) FROM STDIN").format(
                names[table], sql.SQL(", ").join(map(sql.Identifier, columns))
            )
            with _member(self._tar, f"{TABLES}/{table}") as source, raw.copy(copy) as rows:
                while piece := source.read(_PIECE):
                    rows.write(piece)
            self._raise_sequence(raw, schema, table, columns)
        books = books_of(raw, self._tenant.code, self._books.slug, schema)
        if books != self._books:
            raise BackupError("What was restored has other books than the file says.")
        with tenant_schema(self._tenant.code):
            self._name_people_and_prices()
            audit.record(
                actor="command",
                action="tenant.restored",
                subject=self._tenant.slug,
                of=self._manifest.made_at,
            )
        record(
            actor="command",
            action="tenant.restored",
            subject=self._tenant.slug,
            tenant=self._tenant,
            reason=f"as it was at {self._manifest.made_at}",
            kept_schema=self._kept_schema,
        )
        # Files last; without their rows nobody looks for them.
        for part in self._manifest.parts:
            if part.file.startswith(f"{ARCHIVES}/"):
                self._put_archive(part)

    def _put_archive(self, part: Part) -> None:
        with _member(self._tar, part.file) as source:
            put_archive(source, part)

    @staticmethod
    def _raise_sequence(raw: Any, schema: str, table: str, columns: list[str]) -> None:
        for column in columns:
            raw.execute("SELECT pg_get_serial_sequence(%s, %s)", [f'"{schema}"."{table}"', column])
            ((sequence,),) = raw.fetchall()
            if sequence:
                raw.execute(
                    sql.SQL("SELECT setval({}, max({column})) FROM {table}").format(
                        sql.Literal(sequence),
                        column=sql.Identifier(column),
                        table=sql.Identifier(schema, table),
                    )
                )

    def _name_people_and_prices(self) -> None:
        """Numbers of the file's installation become those of here, or nobody's."""
        with connection.cursor() as cursor:
            numbers = {str(theirs): ours for theirs, ours in self._people.items()}
            cursor.execute(
                "UPDATE keys_apikey SET member_id = (%s::jsonb ->> member_id::text)::bigint"
                " WHERE member_id IS NOT NULL",
                [json.dumps(numbers)],
            )
            prices = self._manifest.facts["prices"]
            cursor.execute(
                "SELECT id, ai_model, starts_at::text, markup_percent::text"
                "  FROM public.prices_priceversion WHERE id = ANY(%s)",
                [[int(number) for number in prices]],
            )
            same = {number for number, *rest in cursor.fetchall() if prices[str(number)] == rest}
            foreign = [int(number) for number in prices if int(number) not in same]
            if foreign:
                cursor.execute(
                    "UPDATE usage_usagerecord SET price_version_id = 0"
                    " WHERE price_version_id = ANY(%s)",
                    [foreign],
                )
                self._notes.append(
                    f"{cursor.rowcount} calls were priced by versions that are not known here: "
                    "they keep their cost, and name none."
                )

    def bring_up_to_date(self) -> RestoredTenant:
        tenant = Tenant.objects.select_related("plan").get(pk=self._tenant.pk)
        rebuild_gate(tenant)
        calls = put_back(parse_calls(_member(self._tar, CALLS).read(), name=CALLS))
        settle_partition(partition=partition_of(tenant.code))
        roll_up(tenant.code, days=None)
        if not self._manifest.has_our_secret_key():
            self._notes.append(
                "SECRET_KEY is another one here: secrets of webhooks and agents cannot be read. "
                "Give the old one in SECRET_KEY_FALLBACKS, or have new ones made."
            )
        violations = [
            *invariants.check_ledger(tenant),
            *invariants.check_gate(tenant),
            *invariants.check_archives(tenant),
        ]
        books = books_of(_raw(), tenant.code, tenant.slug, tenant.schema_name)
        return RestoredTenant(
            tenant, books, calls, self._before, self._kept_schema, self._notes, violations
        )


def _raw() -> Any:
    """A cursor of psycopg's own, on Django's connection and in its transaction."""
    connection.ensure_connection()
    return connection.connection.cursor()


def _insert(model: type[models.Model], row: Row, *, may_be_there: bool = False) -> Any:
    """A row as `row_to_json` has it, with a number of its own where its table counts. Returns its
    primary key; None: it was there."""
    meta = model._meta
    key = meta.pk
    assert key is not None
    columns = [str(each.column) for each in meta.concrete_fields]
    if isinstance(key, models.AutoField | models.BigAutoField):
        columns.remove(str(key.column))
    names = sql.SQL(", ").join(sql.Identifier(each) for each in columns)
    statement = sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {names}"
        " FROM json_populate_record(NULL::{table}, %s) {conflict} RETURNING {key}"
    ).format(
        table=sql.Identifier("public", meta.db_table),
        names=names,
        conflict=sql.SQL("ON CONFLICT DO NOTHING" if may_be_there else ""),
        key=sql.Identifier(str(key.column)),
    )
    raw = _raw()
    raw.execute(statement, [json.dumps(row)])
    found = raw.fetchone()
    return found[0] if found else None
