"""One suite for every storage: what StorageAdapter promises, asked of each adapter."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_adapters.base import ObjectInfo, StorageAdapter, validate_key, validate_prefix
from storage_adapters.count import CountingAdapter
from storage_adapters.errors import InvalidKey, ObjectNotFound, ObjectTruncated
from storage_adapters.local import LocalAdapter
from storage_adapters.memory import MemoryAdapter
from storage_adapters.prefixed import PrefixedAdapter
from storage_adapters.retry import RetryingAdapter, RetryPolicy
from storage_adapters.s3 import S3Adapter
from storage_adapters.sftp import SftpAdapter
from storage_adapters.throttle import ThrottledAdapter


@pytest.fixture(params=["memory", "local", "prefixed", "retrying", "throttled", "counting", "s3", "sftp"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorageAdapter]:
    makers: dict[str, Callable[[], StorageAdapter]] = {
        "memory": MemoryAdapter,
        "local": lambda: LocalAdapter(str(tmp_path)),
        "prefixed": lambda: PrefixedAdapter(LocalAdapter(str(tmp_path)), "some/place/"),
        "retrying": lambda: RetryingAdapter(LocalAdapter(str(tmp_path))),
        "throttled": lambda: ThrottledAdapter(LocalAdapter(str(tmp_path)), lambda: 1e9, lambda: 1e9),
        "counting": lambda: CountingAdapter(LocalAdapter(str(tmp_path))),
        "s3": lambda: S3Adapter(request.getfixturevalue("s3_settings")),
        "sftp": lambda: SftpAdapter(request.getfixturevalue("sshd").settings(tmp_path)),
    }
    adapter = makers[request.param]()
    yield adapter
    adapter.close()
    adapter.close()


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 1_000_003])
def test_it_gives_back_what_was_put(storage: StorageAdapter, size: int) -> None:
    data = os.urandom(size)
    storage.put("data/ab/object", data)
    assert storage.get("data/ab/object") == data
    assert storage.stat("data/ab/object") == ObjectInfo("data/ab/object", size)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_it_takes_every_kind_of_buffer(storage: StorageAdapter, kind: type) -> None:
    storage.put("object", kind(b"some bytes"))
    assert storage.get("object") == b"some bytes"


def test_a_buffer_changed_after_put_does_not_change_the_object(storage: StorageAdapter) -> None:
    buffer = bytearray(b"before")
    storage.put("object", buffer)
    buffer[:] = b"after!"
    assert storage.get("object") == b"before"


def test_it_reads_ranges(storage: StorageAdapter) -> None:
    storage.put("object", b"0123456789")
    assert storage.get("object", 3, 4) == b"3456"
    assert storage.get("object", 7) == b"789"
    assert storage.get("object", 10, 0) == b""
    assert storage.get("object", 0, 10) == b"0123456789"


@pytest.mark.parametrize(("offset", "length"), [(0, 11), (9, 2), (11, 0), (11, None)])
def test_a_range_past_the_end_is_an_error(storage: StorageAdapter, offset: int, length: int | None) -> None:
    storage.put("object", b"0123456789")
    with pytest.raises(ObjectTruncated):
        storage.get("object", offset, length)


def test_put_replaces(storage: StorageAdapter) -> None:
    storage.put("object", b"a longer first version")
    storage.put("object", b"second")
    assert storage.get("object") == b"second"
    assert [found.size_bytes for found in storage.list("")] == [6]


@pytest.mark.parametrize("key", ["missing", "data/missing", "object/below", "data"])
def test_a_missing_object_is_said_to_be_missing(storage: StorageAdapter, key: str) -> None:
    storage.put("object", b"x")
    storage.put("data/object", b"x")
    with pytest.raises(ObjectNotFound):
        storage.get(key)
    with pytest.raises(ObjectNotFound):
        storage.stat(key) if key != "data" else storage.get(key)


def test_it_lists_by_prefix(storage: StorageAdapter) -> None:
    for key in ("config", "keys/a", "keys/b", "keyside", "data/00/x", "data/01/y"):
        storage.put(key, key.encode())
    assert sorted(found.key for found in storage.list("keys/")) == ["keys/a", "keys/b"]
    assert sorted(found.key for found in storage.list("data/")) == ["data/00/x", "data/01/y"]
    assert {found.key: found.size_bytes for found in storage.list("")} == {
        key: len(key) for key in ("config", "keys/a", "keys/b", "keyside", "data/00/x", "data/01/y")
    }
    assert list(storage.list("nothing/")) == []


def test_deleting_is_final_and_repeatable(storage: StorageAdapter) -> None:
    storage.put("object", b"x")
    storage.delete("object")
    storage.delete("object")
    storage.delete("never/was")
    assert list(storage.list("")) == []
    with pytest.raises(ObjectNotFound):
        storage.get("object")


BAD_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "a/./b",
    "a b",
    "a\n",
    "é",
    "a\0",
    "x-tmp-1",
    "a" * 1025,
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_bad_keys_are_refused_everywhere(storage: StorageAdapter, key: str) -> None:
    for call in (storage.get, storage.stat, storage.delete, lambda key: storage.put(key, b"")):
        with pytest.raises(InvalidKey):
            call(key)


@pytest.mark.parametrize("prefix", ["keys", "/", "../", "a//"])
def test_bad_prefixes_are_refused(storage: StorageAdapter, prefix: str) -> None:
    with pytest.raises(InvalidKey):
        list(storage.list(prefix))


def test_many_threads_at_once(storage: StorageAdapter) -> None:
    def work(number: int) -> None:
        for turn in range(10):
            data = f"{number} {turn}".encode() * 1000
            storage.put(f"data/{number:02}/{turn}", data)
            assert storage.get(f"data/{number:02}/{turn}") == data

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(storage.list("data/"))) == 80


def test_readers_see_the_old_object_or_the_new_one(storage: StorageAdapter) -> None:
    versions = [bytes([number]) * 200_000 for number in range(8)]
    storage.put("object", versions[0])
    done = threading.Event()
    torn: list[int] = []
    patient = RetryingAdapter(storage, RetryPolicy(first_wait_s=0.01))  # a read may fail; that is no torn one

    def read() -> None:
        while not done.is_set():
            data = patient.get("object")
            if data not in versions:
                torn.append(len(data))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        for version in versions:
            storage.put("object", version)
    done.set()
    reader.join()
    assert torn == []


@given(st.text(max_size=30))
def test_a_key_is_valid_or_refused(text: str) -> None:
    try:
        assert validate_key(text) == text
    except InvalidKey:
        return
    assert ".." not in text.split("/")
    assert not text.startswith("/")
    assert validate_prefix(text + "/") == text + "/"
