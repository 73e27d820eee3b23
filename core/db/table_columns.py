"""Columns that several tables share."""

from typing import Any

from sqlalchemy import BigInteger, Column, Text
from sqlmodel import Field

from core.db.column_types import Json, UtcDateTime


def json_column(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_column=Column(Json, nullable=nullable))


def moment_column(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(UtcDateTime, nullable=nullable))


def text_column() -> Any:
    return Field(default=None, sa_column=Column(Text, nullable=True))


def sum_column() -> Any:
    return Field(default=0, sa_column=Column(BigInteger, nullable=False))


def size_column() -> Any:
    return Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))


def limit_column() -> Any:
    return Field(default=None, sa_column=Column(BigInteger, nullable=True))
