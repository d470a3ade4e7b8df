"""Config and polynomials: restic's are read as they are, and ours are of the same kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from repository.config import RepositoryConfig, _mod, is_irreducible, new_config, new_polynomial
from repository.crypto import MasterKey, unseal
from repository.errors import Damaged
from repository.keyfile import open_key_file
from tests.repository.hostile import HOSTILE_TEXTS, mutations, odd_documents, refuses_or_decodes

POLYNOMIAL = "3da3358b4dc173"
CONFIG = RepositoryConfig(2, "ab" * 32, POLYNOMIAL)


def reducible_by_trial(polynomial: int) -> bool:
    """Look for a factor of degree 1 to 12: enough to catch most reducible ones, by another way."""
    return any(remainder(polynomial, factor) == 0 for factor in range(2, 2**13))


def remainder(value: int, modulus: int) -> int:
    while value.bit_length() >= modulus.bit_length():
        value ^= modulus << value.bit_length() - modulus.bit_length()
    return value


def test_every_config_of_restic_decodes_and_encodes_to_itself(vectors: dict[str, Any]) -> None:
    masters = {row["origin"]: MasterKey.from_json(row["master_json"].encode()) for row in vectors["keys"]}
    assert len(vectors["configs"]) == 18
    for row in vectors["configs"]:
        plaintext = unseal(masters[row["origin"]], bytes.fromhex(row["file_hex"]))
        assert plaintext.decode() == row["plaintext"]
        config = RepositoryConfig.decode(plaintext)
        assert config.encode() == plaintext.rstrip(b"\n")  # files of 2015 end in a newline


def test_the_config_of_rustic_decodes(fixtures_dir: Path) -> None:
    keys = fixtures_dir / "rustic-keys"
    master = open_key_file((keys / "key1").read_bytes(), "test")
    config = RepositoryConfig.decode(unseal(master, (keys / "config").read_bytes()))
    assert config.version == 2


def test_it_agrees_with_restics_polynomials(vectors: dict[str, Any]) -> None:
    rows = vectors["chunker"]["irreducible"]
    assert len(rows) == 24
    for row in rows:
        assert is_irreducible(int(row["pol"], 16)) is row["irreducible"], row["pol"]


def test_its_arithmetic_agrees_with_restics(vectors: dict[str, Any]) -> None:
    for row in vectors["chunker"]["pol_mod_mulmod"]:
        x, y, modulus = (int(row[name], 16) for name in ("x", "y", "g"))
        product = 0
        for bit in range(y.bit_length()):
            product ^= (x << bit) * (y >> bit & 1)
        assert _mod(product, modulus) == int(row["mulmod"], 16)
    for row in vectors["chunker"]["gcd"]:
        a, b = int(row["a"], 16), int(row["b"], 16)
        while b:
            a, b = b, _mod(a, b)
        assert a == int(row["gcd"], 16)


def test_new_polynomials_are_of_restics_kind_and_differ() -> None:
    made = {new_polynomial() for _ in range(5)}
    assert len(made) == 5
    for text in made:
        value = int(text, 16)
        assert text == f"{value:x}"
        assert value.bit_length() == 54
        assert not reducible_by_trial(value)


def test_a_product_is_never_called_irreducible() -> None:
    # x^53-ish products of odd weight and constant term 1: the quick tests alone would let them pass
    found = [p for p in range(1 << 53 | 1, (1 << 53) + 400, 2) if p.bit_count() % 2 and reducible_by_trial(p)]
    assert len(found) > 50
    assert not any(map(is_irreducible, found))


def test_another_degree_is_refused() -> None:
    with pytest.raises(ValueError, match="degree"):
        is_irreducible(0b111)


def test_a_new_config_is_version_2_with_a_new_id() -> None:
    one, two = new_config(), new_config()
    assert one.version == 2
    assert one.id != two.id
    assert one.chunker_polynomial != two.chunker_polynomial
    assert RepositoryConfig.decode(one.encode()) == one


def test_copies_share_the_polynomial_given() -> None:
    assert new_config(POLYNOMIAL).chunker_polynomial == POLYNOMIAL
    with pytest.raises(Damaged, match="reducible"):
        new_config("38f1e565e288df")


def test_keys_of_other_programs_are_kept_in_their_order() -> None:
    text = CONFIG.encode()[:-1] + b',"compression":3,"is_hot":true,"b":[1.50,{"x":null}],"a":"\\u003c"}'
    assert RepositoryConfig.decode(text).encode() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "empty"),
        (CONFIG.encode().replace(b":2,", b":3,"), "version 3"),
        (CONFIG.encode().replace(b":2,", b":0,"), "version 0"),
        (CONFIG.encode().replace(b"abab", b"ABAB"), "64 hex"),
        (CONFIG.encode().replace(b"3da3358b4dc173", b"38f1e565e288df"), "reducible"),
        (CONFIG.encode().replace(b"3da3358b4dc173", b"7da3358b4dc173"), "degree"),
        (CONFIG.encode().replace(b"3da3358b4dc173", b"0x3da3358b4dc1"), "degree"),
    ],
)
def test_what_nobody_can_work_with_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(Damaged, match=message):
        RepositoryConfig.decode(text)


@given(mutations(CONFIG.encode()))
def test_mutated_configs_are_damaged_or_decode(data: bytes) -> None:
    config = refuses_or_decodes(RepositoryConfig.decode, data)
    assert config is None or RepositoryConfig.decode(config.encode()) == config


def test_hostile_configs_are_damaged() -> None:
    for data in HOSTILE_TEXTS:
        with pytest.raises(Damaged):
            RepositoryConfig.decode(data)
    for data in odd_documents(CONFIG.encode()):
        refuses_or_decodes(RepositoryConfig.decode, data)
