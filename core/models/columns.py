"""Column types used by all rows, as annotations."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, Integer, String, Text
from sqlalchemy.orm import mapped_column

from core.db import UtcDateTime, utc_now

# SQLite gives row ids only to INTEGER primary keys.
RowId = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)]
# For rows whose id leaves the database (tags, markers) and must not collide with another install's.
RandomId = Annotated[str, mapped_column(String(16), primary_key=True, default=lambda: secrets.token_hex(8))]
Name = Annotated[str, mapped_column(String(200))]
Word = Annotated[str, mapped_column(String(40))]
LongText = Annotated[str, mapped_column(Text)]
HexId = Annotated[str, mapped_column(String(64))]
Bytes = Annotated[int, mapped_column(BigInteger, default=0)]
MaybeCount = Annotated[int | None, mapped_column(BigInteger)]
Moment = Annotated[datetime, mapped_column(UtcDateTime)]
Created = Annotated[datetime, mapped_column(UtcDateTime, default=utc_now)]
Document = Annotated[dict[str, Any], mapped_column(JSON, default=dict)]
