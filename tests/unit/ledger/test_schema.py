"""Would catch tables that differ from the migrations, starts that hinder each other, and errors that do not help."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select

from tandem.ledger.database import engine_for
from tandem.ledger.entry import NoLedger
from tandem.ledger.errors import LedgerUnusable
from tandem.ledger.opening import open_ledger
from tandem.ledger.schema import MIGRATIONS, REVISION, REVISION_TABLE, migrate, reading
from tandem.ledger.tables import feedback, metadata
from tests.fakes.entries import url_of


def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    migrate(url_of(tmp_path))
    engine = engine_for(url_of(tmp_path), 1.0)
    with engine.connect() as connection:
        options = {"version_table": REVISION_TABLE, "compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_one_that_is_needed() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_a_ledger_of_the_first_release_keeps_what_it_has(tmp_path: Path) -> None:
    engine = engine_for(url_of(tmp_path), 1.0)
    with engine.connect() as connection:
        config = Config(attributes={"connection": connection, "version_table": REVISION_TABLE})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, "0001")
        row = ("a", "tenant", "2026-11-24T09:30:00.000000Z", 0.5, "user")
        statement = "INSERT INTO feedback (request_id, tenant, at, score, source) VALUES (?, ?, ?, ?, ?)"
        connection.exec_driver_sql(statement, row)
        connection.commit()
    engine.dispose()
    migrate(url_of(tmp_path))
    with reading(url_of(tmp_path)) as connection:
        columns = feedback.c.request_id, feedback.c.tenant, feedback.c.at, feedback.c.score, feedback.c.source
        assert connection.execute(select(*columns, feedback.c.tier)).all() == [(*row, None)]


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    migrate(url_of(tmp_path))
    before = (tmp_path / "ledger.sqlite").read_bytes()
    migrate(url_of(tmp_path))
    assert (tmp_path / "ledger.sqlite").read_bytes() == before


def test_processes_that_start_at_once(tmp_path: Path) -> None:
    code = f"from tandem.ledger.schema import migrate; migrate({url_of(tmp_path)!r})"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    with reading(url_of(tmp_path)) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def set_revision(folder: Path, revision: str) -> None:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as database, database:
        database.execute("UPDATE ledger_revision SET version_num = ?", (revision,))


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    migrate(url_of(tmp_path))
    set_revision(tmp_path, "9000")
    with pytest.raises(LedgerUnusable, match=r"made by a newer Tandem \(revision 9000"):
        migrate(url_of(tmp_path))
    with pytest.raises(LedgerUnusable, match="upgrade Tandem"), reading(url_of(tmp_path)):
        pass


def test_an_older_ledger_is_not_read(tmp_path: Path) -> None:
    migrate(url_of(tmp_path))
    set_revision(tmp_path, "0000")
    with pytest.raises(LedgerUnusable, match="older than this Tandem"), reading(url_of(tmp_path)):
        pass


def test_a_ledger_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnusable, match="nothing has been booked there yet"), reading(url_of(tmp_path)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_database_is_no_ledger(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "ledger.sqlite").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(LedgerUnusable, match="holds no ledger"), reading(url_of(tmp_path)):
        pass


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("Dear diary, " * 100)
    with pytest.raises(LedgerUnusable, match="file is not a database"):
        open_ledger(url_of(tmp_path))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ledger.sqlite", "is not the URL of a ledger"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("oracle9://host/x", "there is no driver for oracle9://host/x"),
        ("sqlite:////proc/tandem/ledger.sqlite", "cannot be used"),
    ],
)
def test_urls_that_cannot_be_used(url: str, message: str) -> None:
    with pytest.raises(LedgerUnusable, match=message):
        open_ledger(url)


def test_a_password_is_not_shown() -> None:
    with pytest.raises(LedgerUnusable) as caught:
        open_ledger("oracle9://tandem:secret@host/x")
    assert "secret" not in str(caught.value)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerUnusable, match="this user may write to it"):
        open_ledger(url_of(tmp_path / "file"))


def test_no_ledger_needs_no_database() -> None:
    code = (
        "import sys; from tandem.ledger.opening import open_ledger; open_ledger(''); "
        "print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert isinstance(open_ledger(""), NoLedger)
