"""Which inlet a stream has.  What mirrors and sources need is loaded when there is the first of them."""

from typing import TYPE_CHECKING

from edge.jetstream.stream_config import StreamConfig

if TYPE_CHECKING:
    from edge.jetstream.stream import Stream
    from edge.store.contract import StreamRecord


def open_inlet(stream: "Stream") -> None:
    if stream.config.mirror is not None:
        from edge.jetstream.mirror import Mirror

        stream.inlet = Mirror(stream, stream.config.mirror)
    elif stream.config.sources:
        from edge.jetstream.sources import Sources

        stream.inlet = Sources(stream)
    if stream.inlet is not None:
        stream.inlet.begin()


def close_inlet(stream: "Stream", for_ever: bool = False) -> None:
    """What has come is still stored.  ``for_ever``: the origins hear of it."""
    inlet, stream.inlet = stream.inlet, None
    if inlet is not None:
        inlet.stop()
        if for_ever:
            inlet.forget()


def change_inlet(stream: "Stream", old: StreamConfig) -> None:
    """The stream has another configuration now: what stays goes on."""
    new = stream.config
    if (old.mirror, old.sources) == (new.mirror, new.sources):
        return
    if old.sources and new.sources:
        from edge.jetstream.sources import Sources

        assert isinstance(stream.inlet, Sources)
        stream.inlet.update(old.sources)
        return
    if new.sources:
        from edge.jetstream.sources import update_positions

        update_positions(stream, old.sources)
    close_inlet(stream, for_ever=True)
    open_inlet(stream)


def recover_inlet(stream: "Stream", record: "StreamRecord") -> None:
    """How far the sources had been taken; which stream a mirror was of."""
    if stream.config.sources:
        from edge.jetstream.sources import recover_positions

        recover_positions(stream, record)
    elif stream.config.mirror is not None:
        from edge.jetstream.sources import saved_positions

        stream.positions = saved_positions(record.state)[0]
