"""``mqtt``: the listener for MQTT 3.1.1 clients."""

from edge.config.access import simple_authorization
from edge.config.fields import Fields
from edge.config.listen import read_listen
from edge.config.options import MQTT_PORT, Listen, Mqtt
from edge.config.tls import inner_tls

MAX_ACK_PENDING = 65535
DEFAULT = Mqtt(Listen("", MQTT_PORT))

REFUSED = {"js_domain": "sessions are kept in the edge's own store"}
IGNORED = (
    *("js_api_timeout", "api_timeout", "stream_replicas", "consumer_replicas", "consumer_memory_storage"),
    *("consumer_inactive_threshold", "consumer_auto_cleanup", "reject_qos2_publish", "downgrade_qos2_subscribe"),
)


def read_mqtt(block: Fields) -> Mqtt:
    mqtt = Mqtt(
        listen=read_listen(block, MQTT_PORT),
        authorization=simple_authorization(block),
        no_auth_user=block.string("no_auth_user", default=""),
        ack_wait_ns=block.duration_ns("ack_wait", "ackwait", default=DEFAULT.ack_wait_ns) or DEFAULT.ack_wait_ns,
        max_ack_pending=block.integer(
            "max_ack_pending", "max_pending", "max_inflight", lowest=0, highest=MAX_ACK_PENDING, default=0
        )
        or DEFAULT.max_ack_pending,
        tls=inner_tls(block),
    )
    block.finish(REFUSED, IGNORED)
    return mqtt
