"""Which requests ask to be measured, by the headers of three tracing systems."""

import pytest

from edge.core.latency import asks_for_sample
from edge.message import header_block


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([("Uber-Trace-Id", "479fefe9525eddb:5adb976bfc1f95c1:479fefe9525eddb:1"), ("Uberctx-X", "y"), ("Z", "z")], ["Uber-Trace-Id", "Uberctx-X"]),
        ([("Uber-Trace-Id", "479fefe9525eddb:5adb976bfc1f95c1:479fefe9525eddb:0")], None),
        ([("Uber-Trace-Id", "1:2:3")], None),
        ([("Uber-Trace-Id", "1:2:3:zz")], None),
        ([("X-B3-TraceId", "80f1"), ("X-B3-SpanId", "e457")], ["X-B3-TraceId", "X-B3-SpanId"]),
        ([("X-B3-Sampled", "1")], ["X-B3-Sampled"]),
        ([("X-B3-Sampled", "0"), ("X-B3-TraceId", "80f1")], None),
        ([("B3", "80f198ee56343ba8-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90")], ["B3"]),
        ([("B3", "80f198ee56343ba8-e457b5a2e4d86bd1-0")], None),
        ([("b3", "0")], None),
        ([("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("Tracestate", "a=b")], ["Traceparent", "Tracestate"]),
        ([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")], None),
        ([("traceparent", "00-4bf9-01")], None),
        ([("Other", "1")], None),
    ],
)  # fmt: skip
def test_asking(headers: list[tuple[str, str]], expected: list[str] | None) -> None:
    found = asks_for_sample(header_block(headers))
    assert (found if found is None else list(found)) == expected
