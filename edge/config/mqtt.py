"""``mqtt``: the listener for MQTT 3.1.1 clients."""

from edge.config.fields import Fields, fail
from edge.config.listen import read_listen
from edge.config.options import MQTT_PORT, Authorization, Listen, Mqtt
from edge.core.auth import GLOBAL_ACCOUNT, User

MAX_ACK_PENDING = 65535
DEFAULT = Mqtt(Listen("", MQTT_PORT))

REFUSED = {"tls": "MQTT connections are not encrypted yet", "js_domain": "sessions are kept in the edge's own store"}
IGNORED = (
    *("js_api_timeout", "api_timeout", "stream_replicas", "consumer_replicas", "consumer_memory_storage"),
    *("consumer_inactive_threshold", "consumer_auto_cleanup", "reject_qos2_publish", "downgrade_qos2_subscribe"),
)


def read_mqtt(block: Fields) -> Mqtt:
    authorization = block.inner("authorization", "authentication")
    mqtt = Mqtt(
        listen=read_listen(block, MQTT_PORT),
        authorization=_authorization(authorization) if authorization else None,
        no_auth_user=block.string("no_auth_user", default=""),
        ack_wait_ns=block.duration_ns("ack_wait", "ackwait", default=DEFAULT.ack_wait_ns) or DEFAULT.ack_wait_ns,
        max_ack_pending=block.integer(
            "max_ack_pending", "max_pending", "max_inflight", lowest=0, highest=MAX_ACK_PENDING, default=0
        )
        or DEFAULT.max_ack_pending,
    )
    block.finish(REFUSED, IGNORED)
    return mqtt


def _authorization(block: Fields) -> Authorization:
    """One user, or a token in the place of the password: the MQTT listener's own."""
    name = block.string("user", "username", default="")
    password = block.string("password", "pass", default="")
    token = block.string("token", default="")
    timeout_ns = block.seconds_ns("timeout", default=0) or Authorization().timeout_ns
    block.finish()
    if password and not name:
        fail(block.place("password", "pass"), "a password needs a user beside it")
    if token and name:
        fail(block.place("token"), "a token and a user exclude each other")
    users = (User(name, password, GLOBAL_ACCOUNT),) if name else ()
    return Authorization(users, token, timeout_ns)
