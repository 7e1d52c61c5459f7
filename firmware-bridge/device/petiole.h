/* The device's end of the serial link to petiole-bridge: ../docs/protocol.md, version 1.
 *
 * C99, no malloc, nothing of libc but memcpy, memset and memcmp.  All memory is the caller's; one link is one
 * struct and shares nothing, so there may be several.  Time is an argument: milliseconds since boot, in
 * 32 bits that wrap.
 *
 *     static petiole_slot slots[32];
 *     static petiole link;
 *     petiole_init(&link, &config);            once; config names the device, its boot, its slots and its callbacks
 *     petiole_receive(&link, bytes, n, now);   whatever the UART has received
 *     petiole_poll(&link, now);                often: HELLO, retransmission
 *     petiole_float(&link, "temp", 21.5, "C", now);    a reading; PETIOLE_FULL: try again later
 */
#ifndef PETIOLE_H
#define PETIOLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PETIOLE_VERSION 1
#define PETIOLE_MAX_FRAME 256                    /* decoded, with CRC */
#define PETIOLE_MAX_WIRE (PETIOLE_MAX_FRAME + 4) /* encoded, with the zero */
#define PETIOLE_MAX_RESULT (PETIOLE_MAX_FRAME - 11)
#ifndef PETIOLE_MAX_READING
#define PETIOLE_MAX_READING 62 /* bytes of one encoded reading; 62 makes a slot 64 bytes */
#endif

/* Statuses of a result. */
enum { PETIOLE_OK = 0, PETIOLE_UNKNOWN_VERB = 1, PETIOLE_FAILED = 2, PETIOLE_BAD_ARGUMENT = 3 };

/* What became of a reading. */
enum { PETIOLE_FULL = 0, PETIOLE_KEPT = 1, PETIOLE_TOO_LONG = -1 };

typedef struct {
    uint16_t size;
    uint8_t data[PETIOLE_MAX_READING];
} petiole_slot;

/* CBOR that is being written; after an overflow nothing more is. */
typedef struct {
    uint8_t *data;
    size_t size, capacity;
    int overflow;
} petiole_writer;

void petiole_write_uint(petiole_writer *w, uint64_t value);
void petiole_write_int(petiole_writer *w, int64_t value);
void petiole_write_double(petiole_writer *w, double value);
void petiole_write_bool(petiole_writer *w, int value);
void petiole_write_text(petiole_writer *w, const char *text);
void petiole_write_map(petiole_writer *w, size_t pairs);
void petiole_write_raw(petiole_writer *w, const uint8_t *data, size_t size); /* one encoded item */

/* One item of CBOR that was received; size 0: there is none. */
typedef struct {
    const uint8_t *data;
    size_t size;
} petiole_item;

/* Each returns 1 and sets its result, or 0 when the item is something else. */
int petiole_read_bool(petiole_item item, int *value);
int petiole_read_int(petiole_item item, int64_t *value);
int petiole_read_double(petiole_item item, double *value); /* any number */
int petiole_map_get(petiole_item map, const char *key, petiole_item *value);

typedef struct petiole petiole;

typedef struct {
    const char *name;     /* becomes a token of the subjects */
    const char *firmware; /* "" when it does not matter */
    uint32_t boot;        /* another one after every restart: random, or counted in flash */
    petiole_slot *slots;  /* readings wait here until they are stored on the edge */
    uint32_t capacity;    /* number of slots */
    void *user;           /* handed to the callbacks */
    void (*send)(void *user, const uint8_t *data, size_t size);
    /* Carry out a command and write its value (one item, or nothing) to result; the status. */
    int (*command)(void *user, const char *verb, size_t verb_size, petiole_item argument, petiole_writer *result);
} petiole_config;

struct petiole {
    petiole_config config;
    /* receiving */
    uint8_t rx[PETIOLE_MAX_FRAME];
    uint16_t rx_size;
    uint8_t rx_code, rx_left, rx_started, rx_bad;
    uint32_t dropped; /* frames that could not be read */
    uint64_t clock;   /* milliseconds since boot, not wrapping */
    int clock_runs;
    /* the session */
    uint16_t sid; /* 0: none */
    uint8_t window;
    uint32_t hello_at;
    int said_hello;
    /* readings: [base, base + kept) wait, [base, sent) were sent in this session, [base, seen) were received */
    uint32_t base, kept, sent, seen;
    uint32_t timeout, resend_at;
    /* commands */
    uint32_t last_id;
    int has_result;
    uint16_t result_size;
    uint8_t result[PETIOLE_MAX_RESULT];
};

/* 1, or 0 when this cannot work: no slots, or name and firmware do not fit a frame. */
int petiole_init(petiole *link, const petiole_config *config);
void petiole_receive(petiole *link, const uint8_t *data, size_t size, uint32_t now);
void petiole_poll(petiole *link, uint32_t now);

/* A reading; unit may be NULL.  PETIOLE_KEPT: it will arrive.  PETIOLE_FULL: no room, try again later.
 * PETIOLE_TOO_LONG: it does not fit a slot and never will. */
int petiole_int(petiole *link, const char *channel, int64_t value, const char *unit, uint32_t now);
int petiole_float(petiole *link, const char *channel, double value, const char *unit, uint32_t now);
int petiole_bool(petiole *link, const char *channel, int value, const char *unit, uint32_t now);
int petiole_text(petiole *link, const char *channel, const char *value, const char *unit, uint32_t now);

int petiole_connected(const petiole *link);
uint32_t petiole_unacked(const petiole *link); /* readings that are not stored on the edge yet */

#ifdef __cplusplus
}
#endif
#endif
