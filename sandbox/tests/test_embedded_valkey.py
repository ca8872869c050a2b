from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sandbox.embedded import Valkey
from sandbox.errors import SandboxError
from sandbox.tests.process_list import command_line


def client(server: Valkey) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_answered_writes_survive_kill_9_on_the_same_port(valkey: Valkey) -> None:
    writer = client(valkey)
    for number in range(1000):
        writer.rpush("numbers", number)
    url = valkey.url

    valkey.kill()
    valkey.start_again()

    assert valkey.url == url
    assert client(valkey).llen("numbers") == 1000


def test_a_client_without_the_password_is_refused(valkey: Valkey) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=valkey.port, retry=Retry(NoBackoff(), 0)).ping()


def test_it_keeps_an_append_only_file_and_never_evicts(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey", password="p", port=1, log=tmp_path / "log")
    server.prepare()

    settings = server.write_settings().read_text().splitlines()

    assert {"appendonly yes", "appendfsync everysec", 'save ""'} <= set(settings)
    assert "maxmemory-policy noeviction" in settings


def test_a_folder_name_with_blanks_and_quotes_is_fine(tmp_path: Path) -> None:
    from sandbox.embedded import start_valkey

    server = start_valkey(tmp_path / 'a "b" c', durable=False)
    try:
        assert client(server).config_get("dir") == {"dir": str(server.folder)}
    finally:
        server.kill()


def test_a_damaged_file_is_refused_with_the_servers_own_words(valkey: Valkey) -> None:
    client(valkey).set("a", "b")
    valkey.stop()
    [file] = (valkey.folder / "appendonlydir").glob("*.incr.aof")
    file.write_bytes(b"*2\r\ngarbage\r\n" * 3)

    with pytest.raises(SandboxError, match=r"Bad file format.*\(log: .*valkey\.log\)"):
        valkey.start_again()


def test_no_password_shows_in_the_list_of_processes(valkey: Valkey) -> None:
    assert "valkey-server" in command_line(valkey.pid)
    assert valkey.password not in command_line(valkey.pid)
