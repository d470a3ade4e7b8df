"""The repository's config, and the polynomials it names (restic-format.md, section 2)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from repository.errors import Damaged
from repository.gotext import go_string, go_value
from repository.ids import ID_BYTES, is_hex_id
from repository.jsontext import JsonObject, load_object

VERSION = 2
DEGREE = 53
_KNOWN = ("version", "id", "chunker_polynomial")
_POLYNOMIAL = re.compile(r"[0-9a-fA-F]{14}\Z")


@dataclass(frozen=True, slots=True)
class RepositoryConfig:
    """What makes a repository itself: format version, random id (64 hex digits), polynomial (hex)."""

    version: int
    id: str
    chunker_polynomial: str
    extra: JsonObject = field(default_factory=dict)  # keys of other programs, written back unchanged

    def encode(self) -> bytes:
        """Return the JSON text; it is sealed as it is, never compressed."""
        extra = "".join(f",{go_string(key)}:{go_value(value)}" for key, value in self.extra.items())
        return (
            f'{{"version":{self.version},"id":{go_string(self.id)},'
            f'"chunker_polynomial":{go_string(self.chunker_polynomial)}{extra}}}'
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> RepositoryConfig:
        """Read a config. Raises Damaged, also for a version or a polynomial that nobody can work with."""
        if not data:
            raise Damaged("the config is empty: the repository was never finished, or its config was lost")
        fields = load_object(data, "the config")
        version = fields.integer("version")
        if version not in (1, 2):
            raise Damaged(f"the repository has format version {version}; this program reads versions 1 and 2")
        if not is_hex_id(fields.text("id")):
            raise Damaged("the config's id is not 64 hex digits")
        polynomial = fields.text("chunker_polynomial")
        check_polynomial(polynomial)
        return cls(version, fields.text("id"), polynomial, fields.rest(_KNOWN))


def new_config(polynomial: str | None = None) -> RepositoryConfig:
    """Make a config of the current version with a new id; copies of one source share `polynomial` (hex).

    Raises Damaged if the polynomial given is not irreducible or not of degree 53.
    """
    if polynomial is not None:
        check_polynomial(polynomial)
    return RepositoryConfig(VERSION, os.urandom(ID_BYTES).hex(), polynomial or new_polynomial())


def check_polynomial(text: str) -> None:
    """Raise Damaged unless `text` is the hex form of an irreducible polynomial of degree 53."""
    if not _POLYNOMIAL.match(text) or int(text, 16).bit_length() != DEGREE + 1:
        raise Damaged(f"the chunker polynomial is not a hex number of degree {DEGREE}")
    if not is_irreducible(int(text, 16)):
        raise Damaged("the chunker polynomial is reducible; restic refuses such a repository too")


def new_polynomial() -> str:
    """Return a random irreducible polynomial of degree 53, as hex."""
    while True:
        low = int.from_bytes(os.urandom(8), "little") & ((1 << (DEGREE + 1)) - 1)
        polynomial = low | 1 << DEGREE | 1
        if is_irreducible(polynomial):
            return f"{polynomial:x}"


def is_irreducible(polynomial: int) -> bool:
    """Tell whether a polynomial over GF(2), one bit per coefficient, of degree 53 is irreducible.

    53 is prime, so these are all: no root 0 or 1 (constant term 1, odd weight), and x^(2^53) = x mod f.
    """
    if polynomial.bit_length() != DEGREE + 1:
        raise ValueError(f"not a polynomial of degree {DEGREE}")
    if not polynomial & 1 or polynomial.bit_count() % 2 == 0:
        return False
    power = 2
    for _ in range(DEGREE):
        power = _mod(_square(power), polynomial)
    return power == 2


def _square(polynomial: int) -> int:
    """Square over GF(2): the coefficients move apart."""
    return int("0".join(f"{polynomial:b}"), 2)


def _mod(value: int, modulus: int) -> int:
    size = modulus.bit_length()
    while (excess := value.bit_length() - size) >= 0:
        value ^= modulus << excess
    return value
