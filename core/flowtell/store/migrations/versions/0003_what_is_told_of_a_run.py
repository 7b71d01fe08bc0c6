"""An index of what a run's page tells event by event: its states, retries, measures, artifacts and assets.

It is made over the log as it is, so this step takes the longer the more events there are.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TOLD = (
    "run IS NOT NULL AND type NOT IN "
    "('log.recorded', 'task_run.pending', 'task_run.started', 'task_run.finished', 'flow_run.heartbeat')"
)


def upgrade() -> None:
    there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("events")}
    if "events_told" not in there:
        op.create_index("events_told", "events", ["run"], sqlite_where=sa.text(TOLD), postgresql_where=sa.text(TOLD))
