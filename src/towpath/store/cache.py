"""The repository of the cache of steps."""

import msgspec
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.sqlite import insert

from towpath.jobs.channels import PinnedObject
from towpath.kernel.resource import Uid
from towpath.pipelines.ports import CacheEntry
from towpath.store.codec import from_epoch, to_epoch, to_json
from towpath.store.prepared import Prepared
from towpath.store.tables import cached_step

_read_outputs = msgspec.json.Decoder(tuple[PinnedObject, ...]).decode

_KEY = ("pipeline", "step", "key")
_fresh = insert(cached_step).values({column.name: bindparam(column.name) for column in cached_step.c})
_PUT = Prepared(
    _fresh.on_conflict_do_update(
        index_elements=[cached_step.c[name] for name in _KEY],
        set_={name: _fresh.excluded[name] for name in ("execution", "ended_at", "outputs")},
    )
)
_FIND = Prepared(select(cached_step).where(*(cached_step.c[name] == bindparam(f"of_{name}") for name in _KEY)))


class CacheTable:
    """Implements `pipelines.ports.CacheRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, entry: CacheEntry) -> None:
        _PUT(
            self._connection,
            pipeline=entry.pipeline,
            step=entry.step,
            key=entry.key,
            execution=entry.execution,
            ended_at=to_epoch(entry.ended_at),
            outputs=to_json(entry.outputs),
        )

    def find(self, pipeline: Uid, step: str, key: str) -> CacheEntry | None:
        row = _FIND(self._connection, of_pipeline=pipeline, of_step=step, of_key=key).one_or_none()
        if row is None:
            return None
        return CacheEntry(
            pipeline=pipeline,
            step=step,
            key=key,
            execution=Uid(row.execution),
            ended_at=from_epoch(row.ended_at),
            outputs=_read_outputs(row.outputs),
        )
