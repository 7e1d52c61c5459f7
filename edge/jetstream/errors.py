"""JetStream's errors with nats-server's codes and texts (reference: jetstream.md section 8)."""

from edge.errors import ApiError

NOT_ENABLED_FOR_ACCOUNT = ApiError(503, 10039, "JetStream not enabled for account")
NOT_EMPTY = ApiError(400, 10038, "expected an empty request payload")
BAD_REQUEST = ApiError(400, 10003, "bad request")
CONSUMER_NOT_FOUND = ApiError(404, 10014, "consumer not found")
CONSUMER_NAME_IN_USE = ApiError(400, 10013, "consumer name already in use")
CONSUMER_EXISTS = ApiError(400, 10148, "consumer already exists")
CONSUMER_DOES_NOT_EXIST = ApiError(400, 10149, "consumer does not exist")
CONSUMER_CONFIG_REQUIRED = ApiError(400, 10078, "consumer config required")
DURABLE_NAME_IN_EPHEMERAL = ApiError(
    400, 10020, "consumer expected to be ephemeral but a durable name was set in request"
)
DURABLE_NAME_NOT_SET = ApiError(400, 10018, "consumer expected to be durable but a durable name was not set")
DURABLE_NAME_MISMATCH = ApiError(400, 10017, "consumer name in subject does not match durable name in request")
FILTER_MISMATCH = ApiError(400, 10131, "Consumer create request did not match filtered subject from create subject")
DUPLICATE_FILTERS = ApiError(400, 10136, "consumer cannot have both FilterSubject and FilterSubjects specified")
OVERLAPPING_FILTERS = ApiError(400, 10138, "consumer subject filters cannot overlap")
EMPTY_FILTER = ApiError(400, 10139, "consumer filter in FilterSubjects cannot be empty")
MAX_CONSUMERS = ApiError(400, 10026, "maximum consumers limit reached")
MESSAGE_NOT_FOUND = ApiError(404, 10037, "no message found")
STREAM_NOT_FOUND = ApiError(404, 10059, "stream not found")
STREAM_NAME_EXISTS = ApiError(400, 10058, "stream name already in use with a different configuration")
RESTORE_NAME = ApiError(400, 10130, "stream name already in use, cannot restore")
DELIVER_SUBJECT = ApiError(400, 10015, "deliver subject not valid")
STREAM_MISMATCH = ApiError(400, 10056, "stream name in subject does not match request")
NAME_SEPARATORS = ApiError(400, 10128, "Stream name can not contain path separators")
STREAM_STORE_EOF = ApiError(500, 10057, "stream store EOF")
NOTHING_TO_DELETE = ApiError(500, 10057, "no message found")
NEGATIVE_REPLICAS = ApiError(400, 10133, "replicas count cannot be negative")
STREAM_REPLICAS = ApiError(500, 10074, "replicas > 1 not supported in non-clustered mode")
SUBJECTS_OVERLAP = ApiError(400, 10065, "subjects overlap with an existing stream")
EXPECTED_STREAM = ApiError(400, 10060, "expected stream does not match")
MESSAGE_TOO_LARGE = ApiError(400, 10054, "message size exceeds maximum allowed")
HEADERS_TOO_LARGE = ApiError(400, 10097, "header size exceeds maximum allowed of 64k")
MISSING_SUBJECT_SEQUENCE = ApiError(400, 10193, "missing sequence for expected last sequence per subject")
TTL_DISABLED = ApiError(400, 10166, "per-message TTL is disabled")
TTL_INVALID = ApiError(400, 10165, "invalid per-message TTL")
BATCHES_DISABLED = ApiError(400, 10205, "batch publish is disabled")
ATOMIC_DISABLED = ApiError(400, 10174, "atomic publish is disabled")
COUNTERS_DISABLED = ApiError(400, 10168, "message counters is disabled")
INCREMENT_MISSING = ApiError(400, 10169, "message counter increment is missing")
INCREMENT_PAYLOAD = ApiError(400, 10170, "message counter has payload")
INCREMENT_INVALID = ApiError(400, 10171, "message counter increment is invalid")
COUNTER_BROKEN = ApiError(400, 10172, "message counter is broken")
SCHEDULES_DISABLED = ApiError(400, 10188, "message schedules is disabled")
SCHEDULE_TARGET = ApiError(400, 10190, "message schedules target is invalid")
SCHEDULE_ROLLUP = ApiError(400, 10192, "message schedules invalid rollup")
SCHEDULE_SOURCE = ApiError(400, 10203, "message schedules source is invalid")
SCHEDULER_INVALID = ApiError(400, 10212, "message schedules invalid scheduler")
SOURCE_HEADER = ApiError(400, 10227, "message stream source header is not allowed")
WRONG_LAST_CONSTANT = ApiError(400, 10164, "wrong last sequence")
BATCH_DUPLICATE = ApiError(400, 10201, "atomic publish batch contains duplicate message id")
SEALED = ApiError(400, 10109, "invalid operation on sealed stream")
DELETE_NOT_PERMITTED = ApiError(500, 10057, "message delete not permitted")
PURGE_NOT_PERMITTED = ApiError(500, 10110, "stream purge not permitted")
INSUFFICIENT_RESOURCES = ApiError(503, 10023, "insufficient resources")
RESOURCES_EXCEEDED = ApiError(400, 10002, "resource limits exceeded for account")
INSUFFICIENT_MEMORY = ApiError(500, 10028, "insufficient memory resources available")
INSUFFICIENT_STORAGE = ApiError(500, 10047, "insufficient storage resources available")


def invalid_json(what: str) -> ApiError:
    return ApiError(400, 10025, f"invalid JSON: {what}")


def invalid_stream(what: str) -> ApiError:
    return ApiError(500, 10052, what)


def refused(err_code: int, what: str) -> ApiError:
    return ApiError(400, err_code, what)


def pedantic(what: str) -> ApiError:
    return refused(10157, f"pedantic mode: {what}")


def sequence_not_found(seq: int) -> ApiError:
    return ApiError(400, 10043, f"sequence {seq} not found")


def consumer_update(what: str) -> ApiError:
    return ApiError(500, 10012, what)


def store_failed(what: str) -> ApiError:
    return ApiError(503, 10077, what)


def rollup_failed(what: str) -> ApiError:
    return ApiError(500, 10111, what)


def wrong_last_sequence(last: int) -> ApiError:
    return ApiError(400, 10071, f"wrong last sequence: {last}")


def wrong_last_msg_id(last: str) -> ApiError:
    return ApiError(400, 10070, f"wrong last msg ID: {last}")


def error_fields(error: ApiError) -> dict[str, object]:
    return {"code": error.code, "err_code": error.err_code, "description": error.description}
