#include "petiole.h"

#include <float.h>
#include <string.h>

enum { HELLO = 1, DATA = 2, ACK = 3, WHO = 4, COMMAND = 5, RESULT = 6 };
enum { HELLO_MS = 1000, TIMEOUT_MS = 500, MAX_TIMEOUT_MS = 4000 };
enum { CRC_SIZE = 4, MAX_DEPTH = 4 };

/* ---- integers on the wire, and CRC-32 without a table */

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)value);
    put16(at + 2, (uint16_t)(value >> 16));
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | (unsigned)at[1] << 8); /* an int may have 16 bits */
}

static uint32_t get32(const uint8_t *at)
{
    return get16(at) | ((uint32_t)get16(at + 2) << 16);
}

static uint32_t crc32(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xFFFFFFFFu;
    while (size--) {
        int bit;
        crc ^= *data++;
        for (bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

/* a is at or after b on a clock that wraps */
static int reached(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) >= 0;
}

/* ---- CBOR, written */

static void write_bytes(petiole_writer *w, const void *data, size_t size)
{
    if (w->overflow || size > w->capacity - w->size) {
        w->overflow = 1;
        return;
    }
    if (size == 0)
        return; /* of an item that is not there data is NULL, which memcpy must not see */
    memcpy(w->data + w->size, data, size);
    w->size += size;
}

static void write_head(petiole_writer *w, unsigned major, uint64_t value)
{
    uint8_t head[9];
    unsigned extra = value < 24 ? 0 : value <= 0xFF ? 1 : value <= 0xFFFF ? 2 : value <= 0xFFFFFFFFu ? 4 : 8, i;
    unsigned info = extra == 0 ? (unsigned)value : extra == 1 ? 24 : extra == 2 ? 25 : extra == 4 ? 26 : 27;
    head[0] = (uint8_t)(major << 5 | info);
    for (i = 0; i < extra; i++)
        head[1 + i] = (uint8_t)(value >> (8 * (extra - 1 - i)));
    write_bytes(w, head, 1 + extra);
}

void petiole_write_uint(petiole_writer *w, uint64_t value)
{
    write_head(w, 0, value);
}

void petiole_write_int(petiole_writer *w, int64_t value)
{
    if (value < 0)
        write_head(w, 1, (uint64_t)(-1 - value));
    else
        write_head(w, 0, (uint64_t)value);
}

/* Is the number the same in 32 bits?  Small processors have no other doubles. */
static int is_single(double value)
{
    return sizeof value == 4 || (value >= -FLT_MAX && value <= FLT_MAX && (double)(float)value == value);
}

void petiole_write_double(petiole_writer *w, double value)
{
    uint8_t head[9];
    uint64_t bits = 0;
    uint32_t low;
    unsigned size = is_single(value) ? 4 : 8, i;
    if (size == 4) {
        float single = (float)value;
        memcpy(&low, &single, sizeof low);
        bits = low;
    } else
        memcpy(&bits, &value, sizeof value);
    head[0] = size == 4 ? 0xFA : 0xFB;
    for (i = 0; i < size; i++)
        head[1 + i] = (uint8_t)(bits >> (8 * (size - 1 - i)));
    write_bytes(w, head, 1 + size);
}

void petiole_write_bool(petiole_writer *w, int value)
{
    uint8_t byte = value ? 0xF5 : 0xF4;
    write_bytes(w, &byte, 1);
}

/* With an end: what is longer fits no frame, and a compiler would make a call of strlen from a loop without one. */
static size_t text_size(const char *text)
{
    size_t size = 0;
    while (size < PETIOLE_MAX_FRAME && text[size])
        size++;
    return size;
}

void petiole_write_text(petiole_writer *w, const char *text)
{
    size_t size = text_size(text);
    write_head(w, 3, size);
    write_bytes(w, text, size);
}

void petiole_write_map(petiole_writer *w, size_t pairs)
{
    write_head(w, 5, pairs);
}

void petiole_write_raw(petiole_writer *w, const uint8_t *data, size_t size)
{
    write_bytes(w, data, size);
}

/* ---- CBOR, read */

/* The head of an item: its size in bytes, or 0 when it is not whole. */
static size_t read_head(petiole_item item, unsigned *major, unsigned *info, uint64_t *value)
{
    size_t extra, i;
    if (item.size == 0)
        return 0;
    *major = item.data[0] >> 5;
    *info = item.data[0] & 31u;
    if (*info < 24) {
        *value = *info;
        return 1;
    }
    if (*info > 27)
        return 0;
    extra = (size_t)1 << (*info - 24);
    if (item.size < 1 + extra)
        return 0;
    *value = 0;
    for (i = 0; i < extra; i++)
        *value = *value << 8 | item.data[1 + i];
    return 1 + extra;
}

static petiole_item rest(petiole_item item, size_t from)
{
    petiole_item left;
    left.data = item.data + from;
    left.size = item.size - from;
    return left;
}

/* The size of the item at the beginning, with all that it holds; 0 when it is malformed or too deep. */
static size_t item_size(petiole_item item, int depth)
{
    unsigned major, info;
    uint64_t value, i;
    size_t at = read_head(item, &major, &info, &value);
    if (at == 0)
        return 0;
    if (major == 2 || major == 3)
        return value <= item.size - at ? at + (size_t)value : 0;
    if (major == 4 || major == 5 || major == 6) {
        uint64_t items = major == 6 ? 1 : major == 5 ? value * 2 : value;
        if (depth > MAX_DEPTH || (major != 6 && value > item.size))
            return 0;
        for (i = 0; i < items; i++) {
            size_t size = item_size(rest(item, at), depth + 1);
            if (size == 0)
                return 0;
            at += size;
        }
    }
    return at;
}

int petiole_read_bool(petiole_item item, int *value)
{
    if (item.size != 1 || (item.data[0] != 0xF4 && item.data[0] != 0xF5))
        return 0;
    *value = item.data[0] == 0xF5;
    return 1;
}

int petiole_read_int(petiole_item item, int64_t *value)
{
    unsigned major, info;
    uint64_t number;
    if (read_head(item, &major, &info, &number) == 0 || major > 1 || number > INT64_MAX)
        return 0;
    *value = major == 0 ? (int64_t)number : -1 - (int64_t)number;
    return 1;
}

/* An IEEE number of any width, without asking how wide this processor's are. */
static double number(uint64_t bits, int exponent_bits, int fraction_bits)
{
    uint64_t one = (uint64_t)1 << fraction_bits, fraction = bits & (one - 1);
    int top = (1 << exponent_bits) - 1, exponent = (int)(bits >> fraction_bits) & top;
    int shift = (exponent ? exponent : 1) - top / 2 - fraction_bits;
    double value = (double)(exponent ? fraction | one : fraction);
    if (exponent == top) {
        value = 1;
        shift = DBL_MAX_EXP; /* one doubling too many: infinity */
    }
    for (; shift < 0; shift++)
        value /= 2;
    for (; shift > 0; shift--)
        value *= 2;
    if (exponent == top && fraction)
        value -= value;
    return bits >> (exponent_bits + fraction_bits) ? -value : value;
}

int petiole_read_double(petiole_item item, double *value)
{
    unsigned major, info;
    uint64_t bits;
    int64_t whole;
    if (petiole_read_int(item, &whole)) {
        *value = (double)whole;
        return 1;
    }
    if (read_head(item, &major, &info, &bits) == 0 || major != 7)
        return 0;
    if (info == 27)
        *value = number(bits, 11, 52);
    else if (info == 26)
        *value = number(bits, 8, 23);
    else if (info == 25)
        *value = number(bits, 5, 10);
    else
        return 0;
    return 1;
}

/* Walks a map: the pairs behind its head, or 0 when it is none. */
static int map_begin(petiole_item *map, uint64_t *pairs)
{
    unsigned major, info;
    size_t at = read_head(*map, &major, &info, pairs);
    if (at == 0 || major != 5)
        return 0;
    *map = rest(*map, at);
    return 1;
}

static int map_next(petiole_item *map, petiole_item *key, petiole_item *value)
{
    key->data = map->data;
    key->size = item_size(*map, 1);
    if (key->size == 0)
        return 0;
    *map = rest(*map, key->size);
    value->data = map->data;
    value->size = item_size(*map, 1);
    if (value->size == 0)
        return 0;
    *map = rest(*map, value->size);
    return 1;
}

int petiole_map_get(petiole_item map, const char *name, petiole_item *found)
{
    uint64_t pairs;
    petiole_item key, value;
    unsigned major, info;
    uint64_t size;
    size_t at;
    if (!map_begin(&map, &pairs))
        return 0;
    while (pairs-- && map_next(&map, &key, &value)) {
        at = read_head(key, &major, &info, &size);
        if (at != 0 && major == 3 && size == text_size(name) && memcmp(key.data + at, name, (size_t)size) == 0) {
            *found = value;
            return 1;
        }
    }
    return 0;
}

/* ---- frames out */

static void send_frame(petiole *link, uint8_t *frame, size_t size)
{
    uint8_t wire[PETIOLE_MAX_WIRE];
    size_t code_at = 0, out = 1, i;
    uint8_t code = 1;
    put32(frame + size, crc32(frame, size));
    size += CRC_SIZE;
    for (i = 0; i < size; i++) {
        if (frame[i] != 0) {
            wire[out++] = frame[i];
            code++;
        }
        if (frame[i] == 0 || (code == 255 && i + 1 < size)) {
            wire[code_at] = code;
            code_at = out++;
            code = 1;
        }
    }
    wire[code_at] = code;
    wire[out++] = 0;
    link->config.send(link->config.user, wire, out);
}

/* The milliseconds since boot, in 64 bits: the caller's clock has 32, which are 49 days. */
static uint64_t since_boot(petiole *link, uint32_t now)
{
    if (!link->clock_runs)
        link->clock = now;
    else if (reached(now, (uint32_t)link->clock)) /* not one that was read a little earlier */
        link->clock += (uint32_t)(now - (uint32_t)link->clock);
    link->clock_runs = 1;
    return link->clock;
}

/* Its size; 0: the names do not fit a frame. */
static size_t write_hello(const petiole *link, uint8_t *frame, uint64_t clock)
{
    petiole_writer w;
    frame[0] = HELLO;
    frame[1] = PETIOLE_VERSION;
    put16(frame + 2, 0);
    put32(frame + 4, link->config.boot);
    put32(frame + 8, link->base);
    frame[12] = 0;
    w.data = frame + 13;
    w.size = 0;
    w.capacity = PETIOLE_MAX_FRAME - 13 - CRC_SIZE;
    w.overflow = 0;
    petiole_write_map(&w, 3);
    petiole_write_uint(&w, 1);
    petiole_write_text(&w, link->config.name);
    petiole_write_uint(&w, 2);
    petiole_write_text(&w, link->config.firmware);
    petiole_write_uint(&w, 3);
    petiole_write_uint(&w, clock);
    return w.overflow ? 0 : 13 + w.size;
}

static void say_hello(petiole *link, uint32_t now)
{
    uint8_t frame[PETIOLE_MAX_FRAME], zero = 0;
    size_t size = write_hello(link, frame, since_boot(link, now));
    link->hello_at = now + HELLO_MS;
    link->said_hello = 1;
    if (size == 0)
        return; /* petiole_init has said so */
    link->config.send(link->config.user, &zero, 1); /* ends whatever noise went before */
    send_frame(link, frame, size);
}

static void send_reading(petiole *link, uint32_t seq)
{
    uint8_t frame[7 + PETIOLE_MAX_READING + CRC_SIZE];
    const petiole_slot *slot = &link->config.slots[seq % link->config.capacity];
    frame[0] = DATA;
    put16(frame + 1, link->sid);
    put32(frame + 3, seq);
    memcpy(frame + 7, slot->data, slot->size);
    send_frame(link, frame, 7u + slot->size);
}

/* Send what the window allows. */
static void send_readings(petiole *link, uint32_t now)
{
    uint32_t end = link->base + (link->kept < link->window ? link->kept : link->window);
    if (link->sid == 0)
        return;
    if (link->seen == link->sent)
        link->resend_at = now + link->timeout;
    while (link->sent < end)
        send_reading(link, link->sent++);
}

static void send_result(petiole *link)
{
    uint8_t frame[PETIOLE_MAX_FRAME];
    frame[0] = RESULT;
    put16(frame + 1, link->sid);
    put32(frame + 3, link->last_id);
    memcpy(frame + 7, link->result, link->result_size);
    send_frame(link, frame, 7u + link->result_size);
}

/* ---- frames in */

static void forget_below(petiole *link, uint32_t next)
{
    uint32_t gone = next - link->base;
    link->base = next;
    link->kept -= gone;
}

static void on_hello(petiole *link, const uint8_t *body, size_t size, uint32_t now)
{
    uint16_t sid;
    uint32_t base;
    if (size < 12 || body[0] != PETIOLE_VERSION || get32(body + 3) != link->config.boot)
        return;
    sid = get16(body + 1);
    base = get32(body + 7);
    if (sid == 0 || sid == link->sid || base > link->base + link->kept)
        return;
    if (base > link->base)
        forget_below(link, base);
    link->sid = sid;
    link->window = body[11];
    link->seen = link->sent = link->base;
    link->timeout = TIMEOUT_MS;
    link->has_result = 0;
    send_readings(link, now);
}

static void on_ack(petiole *link, const uint8_t *body, size_t size, uint32_t now)
{
    uint32_t next, seen;
    if (size < 10 || get16(body) != link->sid || link->sid == 0)
        return;
    next = get32(body + 2);
    seen = get32(body + 6);
    if (next < link->base || seen < next || seen > link->sent)
        return;
    forget_below(link, next);
    if (seen > link->seen) {
        link->seen = seen;
        link->timeout = TIMEOUT_MS;
        link->resend_at = now + link->timeout;
    }
    send_readings(link, now);
}

static void carry_out(petiole *link, petiole_item payload)
{
    petiole_item key, value, verb = {0, 0}, argument = {0, 0};
    petiole_writer w;
    uint64_t pairs, size = 0;
    int64_t number;
    unsigned major, info;
    size_t at = 0;
    int status = PETIOLE_BAD_ARGUMENT;

    /* The whole of it or nothing: half a command is not the command that was meant. */
    if (item_size(payload, 1) == payload.size && map_begin(&payload, &pairs))
        while (pairs-- && map_next(&payload, &key, &value))
            if (petiole_read_int(key, &number)) {
                if (number == 1)
                    verb = value;
                else if (number == 2)
                    argument = value;
            }
    w.data = link->result + 4; /* behind map, key, status, key */
    w.size = 0;
    w.capacity = sizeof link->result - 4;
    w.overflow = 0;
    at = read_head(verb, &major, &info, &size);
    if (at != 0 && major == 3)
        status = link->config.command(link->config.user, (const char *)verb.data + at, (size_t)size, argument, &w);
    if (w.overflow || status < PETIOLE_OK || status > PETIOLE_BAD_ARGUMENT) {
        status = PETIOLE_FAILED;
        w.size = 0;
    }
    link->result[0] = w.size ? 0xA2 : 0xA1;
    link->result[1] = 1;
    link->result[2] = (uint8_t)status;
    link->result_size = 3;
    if (w.size) {
        link->result[3] = 2;
        link->result_size = (uint16_t)(4 + w.size);
    }
    link->has_result = 1;
}

static void on_command(petiole *link, const uint8_t *body, size_t size)
{
    petiole_item payload;
    uint32_t id;
    if (size < 6 || get16(body) != link->sid || link->sid == 0)
        return;
    id = get32(body + 2);
    if (!(link->has_result && id == link->last_id)) {
        if (link->has_result && id != link->last_id + 1)
            return;
        link->last_id = id;
        payload.data = body + 6;
        payload.size = size - 6;
        carry_out(link, payload);
    }
    send_result(link);
}

static void on_frame(petiole *link, uint32_t now)
{
    const uint8_t *body = link->rx + 1;
    size_t size = link->rx_size;
    if (size < 1 + CRC_SIZE || get32(link->rx + size - CRC_SIZE) != crc32(link->rx, size - CRC_SIZE)) {
        link->dropped++;
        return;
    }
    size -= 1 + CRC_SIZE;
    switch (link->rx[0]) {
    case HELLO:
        on_hello(link, body, size, now);
        break;
    case ACK:
        on_ack(link, body, size, now);
        break;
    case WHO:
        if (size >= 1 && body[0] == PETIOLE_VERSION) {
            link->sid = 0; /* the other end knows nothing of it */
            say_hello(link, now);
        }
        break;
    case COMMAND:
        on_command(link, body, size);
        break;
    default:
        break; /* a type of another version, or our own echoed by the line */
    }
}

static void push(petiole *link, uint8_t byte)
{
    if (link->rx_size == PETIOLE_MAX_FRAME)
        link->rx_bad = 1;
    else
        link->rx[link->rx_size++] = byte;
}

static void on_byte(petiole *link, uint8_t byte, uint32_t now)
{
    if (byte == 0) {
        if (link->rx_started) {
            if (link->rx_bad || link->rx_left)
                link->dropped++;
            else
                on_frame(link, now);
        }
        link->rx_size = 0;
        link->rx_left = link->rx_started = link->rx_bad = 0;
    } else if (link->rx_bad) {
        /* until the next zero */
    } else if (link->rx_left == 0) {
        if (link->rx_started && link->rx_code != 255)
            push(link, 0);
        link->rx_started = 1;
        link->rx_code = byte;
        link->rx_left = (uint8_t)(byte - 1);
    } else {
        push(link, byte);
        link->rx_left--;
    }
}

/* ---- what is called from outside */

int petiole_init(petiole *link, const petiole_config *config)
{
    uint8_t frame[PETIOLE_MAX_FRAME];
    memset(link, 0, sizeof *link);
    link->config = *config;
    link->base = link->sent = link->seen = 1;
    link->timeout = TIMEOUT_MS;
    return config->capacity > 0 && write_hello(link, frame, UINT64_MAX) > 0;
}

void petiole_receive(petiole *link, const uint8_t *data, size_t size, uint32_t now)
{
    while (size--)
        on_byte(link, *data++, now);
}

void petiole_poll(petiole *link, uint32_t now)
{
    since_boot(link, now);
    if (link->sid == 0) {
        if (!link->said_hello || reached(now, link->hello_at))
            say_hello(link, now);
    } else if (link->seen != link->sent && reached(now, link->resend_at)) {
        link->sent = link->seen;
        link->timeout = link->timeout * 2 < MAX_TIMEOUT_MS ? link->timeout * 2 : MAX_TIMEOUT_MS;
        send_readings(link, now);
    }
}

/* A reading begins: its channel is written, its value comes next.  0: no room.  Sequences do not wrap: the last one of
 * a boot is never given, in 136 years of one a second. */
static int begin(petiole *link, petiole_writer *w, const char *channel, const char *unit)
{
    petiole_slot *slot;
    if (link->kept >= link->config.capacity || link->base + link->kept == UINT32_MAX)
        return 0;
    slot = &link->config.slots[(link->base + link->kept) % link->config.capacity];
    w->data = slot->data;
    w->size = 0;
    w->capacity = sizeof slot->data;
    w->overflow = 0;
    petiole_write_map(w, unit ? 4 : 3);
    petiole_write_uint(w, 1);
    petiole_write_text(w, channel);
    petiole_write_uint(w, 2);
    return 1;
}

static int finish(petiole *link, petiole_writer *w, const char *unit, uint32_t now)
{
    if (unit) {
        petiole_write_uint(w, 3);
        petiole_write_text(w, unit);
    }
    petiole_write_uint(w, 4);
    petiole_write_uint(w, since_boot(link, now));
    if (w->overflow)
        return PETIOLE_TOO_LONG;
    link->config.slots[(link->base + link->kept) % link->config.capacity].size = (uint16_t)w->size;
    link->kept++;
    send_readings(link, now);
    return 1;
}

int petiole_int(petiole *link, const char *channel, int64_t value, const char *unit, uint32_t now)
{
    petiole_writer w;
    if (!begin(link, &w, channel, unit))
        return 0;
    petiole_write_int(&w, value);
    return finish(link, &w, unit, now);
}

int petiole_float(petiole *link, const char *channel, double value, const char *unit, uint32_t now)
{
    petiole_writer w;
    if (!begin(link, &w, channel, unit))
        return 0;
    petiole_write_double(&w, value);
    return finish(link, &w, unit, now);
}

int petiole_bool(petiole *link, const char *channel, int value, const char *unit, uint32_t now)
{
    petiole_writer w;
    if (!begin(link, &w, channel, unit))
        return 0;
    petiole_write_bool(&w, value);
    return finish(link, &w, unit, now);
}

int petiole_text(petiole *link, const char *channel, const char *value, const char *unit, uint32_t now)
{
    petiole_writer w;
    if (!begin(link, &w, channel, unit))
        return 0;
    petiole_write_text(&w, value);
    return finish(link, &w, unit, now);
}

int petiole_connected(const petiole *link)
{
    return link->sid != 0;
}

uint32_t petiole_unacked(const petiole *link)
{
    return link->kept;
}
