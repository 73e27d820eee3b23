"""columns and covering indexes for analytics

ix_trace_started, ix_score_created and ix_score_name grow instead of being joined by further
indexes, so a write touches as many indexes as before. Their first columns, up to the id that breaks
ties, serve lists. All columns together serve every statistic without reading rows, whose content
lies on other pages. ix_trace_user with the status serves /traces/users alone. ix_span_model holds
only spans that called a model, which /traces/analytics?metric=models reads.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ROWS_AT_A_TIME = 1000

_TRACE_SUMS = ("prompt_tokens", "completion_tokens")

_WIDENED = {
    "ix_trace_started": (
        "trace",
        ["project_id", "started_at", "id"],
        [
            "status",
            "latency_ms",
            "total_tokens",
            "prompt_tokens",
            "completion_tokens",
            "total_cost",
        ],
    ),
    "ix_trace_user": ("trace", ["project_id", "user_id", "started_at"], ["status"]),
    "ix_score_created": (
        "score",
        ["project_id", "target_type", "created_at", "id"],
        ["name", "status", "number"],
    ),
    "ix_score_name": (
        "score",
        ["project_id", "target_type", "name", "created_at"],
        ["id", "status", "number"],
    ),
}


def upgrade() -> None:
    for table in ("trace", "span"):
        known = ["total_tokens", "total_cost"] if table == "trace" else []
        for name in ("total_tokens", "prompt_tokens", "completion_tokens"):
            if name not in known:
                column = sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
                op.add_column(table, column)
    op.add_column("span", sa.Column("total_cost", sa.Float(), nullable=False, server_default="0"))
    _count_what_is_stored()
    for index, (table, columns, more) in _WIDENED.items():
        op.drop_index(index, table)
        op.create_index(index, table, columns + more)
    op.create_index(
        "ix_span_model",
        "span",
        ["project_id", "started_at", "model", "total_tokens", "total_cost"],
        sqlite_where=sa.text("model IS NOT NULL"),
        postgresql_where=sa.text("model IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_span_model", "span")
    for index, (table, columns, _) in _WIDENED.items():
        op.drop_index(index, table)
        op.create_index(index, table, columns)
    for name in ("total_cost", "completion_tokens", "prompt_tokens", "total_tokens"):
        op.drop_column("span", name)
    for name in ("completion_tokens", "prompt_tokens"):
        op.drop_column("trace", name)


def _count_what_is_stored() -> None:
    span = sa.table(
        "span",
        *(sa.column(name, sa.Uuid()) for name in ("project_id", "trace_id", "id")),
        *(sa.column(name, sa.Text()) for name in ("token_usage", "cost")),
        *(sa.column(name) for name in ("total_tokens", "prompt_tokens", "completion_tokens")),
        sa.column("total_cost"),
    )
    key = (span.c.project_id, span.c.trace_id, span.c.id)
    usage, cost = (sa.cast(column, sa.Text()) for column in (span.c.token_usage, span.c.cost))
    counted = sa.or_(span.c.token_usage.is_not(None), span.c.cost.is_not(None))
    query = sa.select(*key, usage.label("usage"), cost.label("cost")).where(counted).order_by(*key)
    put = span.update().where(
        *(column == sa.bindparam(f"key_{column.name}") for column in key),
    )
    connection = op.get_bind()
    page = connection.execute(query.limit(_ROWS_AT_A_TIME)).all()
    while page:
        for row in page:
            where = {f"key_{name}": getattr(row, name) for name in ("project_id", "trace_id", "id")}
            connection.execute(put.values(**_counted(row.usage, row.cost)), where)
        after = sa.tuple_(*key) > sa.tuple_(
            *(sa.literal(value, sa.Uuid()) for value in tuple(page[-1])[:3])
        )
        page = connection.execute(query.where(after).limit(_ROWS_AT_A_TIME)).all()
    _sum_up_traces(connection)


def _counted(usage_text: str | None, cost_text: str | None) -> dict[str, Any]:
    usage: dict[str, Any] = json.loads(usage_text or "null") or {}
    cost: dict[str, Any] = json.loads(cost_text or "null") or {}
    prompt = _first(usage, "prompt_tokens", "input_tokens", "input")
    completion = _first(usage, "completion_tokens", "output_tokens", "output")
    total = _number(usage.get("total_tokens", usage.get("total")), 2**40)
    dollars = _number(cost.get("total", cost.get("total_cost")), 1e12)
    if dollars is None:
        dollars = sum(_number(part, 1e12) or 0 for part in cost.values())
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if total is None else int(total),
        "total_cost": float(dollars),
    }


def _first(usage: dict[str, Any], *names: str) -> int:
    found = next((usage[name] for name in names if name in usage), None)
    return int(_number(found, 2**40) or 0)


def _number(value: object, bound: float) -> float | int | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < bound:
        return value
    return None


def _sum_up_traces(connection: sa.Connection) -> None:
    names = ("project_id", "trace_id", *_TRACE_SUMS)
    span = sa.table("span", *(sa.column(name) for name in names))
    trace = sa.table("trace", *(sa.column(name) for name in ("project_id", "id", *_TRACE_SUMS)))
    for name in _TRACE_SUMS:
        of_spans = sa.select(sa.func.coalesce(sa.func.sum(span.c[name]), 0)).where(
            span.c.project_id == trace.c.project_id, span.c.trace_id == trace.c.id
        )
        connection.execute(trace.update().values({name: of_spans.scalar_subquery()}))
