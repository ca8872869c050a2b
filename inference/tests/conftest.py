"""Two furnished workspaces."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from conftest import USD, make_cast
from inference.tests.furnished import Furnished, furnish


@pytest.fixture(scope="module")
def acme_and_globex(
    _database: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Furnished, Furnished]]:
    """Two workspaces with one of everything, for the tests of a module together."""
    with override_settings(EXPORT_DIR=str(tmp_path_factory.mktemp("exports"))):
        acme, globex = (make_cast(name, credit_nusd=25 * USD) for name in ("acme", "globex"))
        yield furnish(acme), furnish(globex)


@pytest.fixture
def ours(acme_and_globex: tuple[Furnished, Furnished]) -> Furnished:
    return acme_and_globex[0]


@pytest.fixture
def theirs(acme_and_globex: tuple[Furnished, Furnished]) -> Furnished:
    return acme_and_globex[1]
