"""What time is it? The only reader of the wall clock in the product.

Decisions get `now` as an argument; durations and deadlines are measured with `anyio.current_time()`, which cannot jump.
"""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the one place
