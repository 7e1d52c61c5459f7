/* A device on this machine: a counter's readings over a serial port or pseudo-terminal, and a few commands.
 *
 *   host_device PORT [--name NAME] [--rate READINGS_PER_SECOND] [--count N] [--boot N]
 *
 * Prints "produced <n>" for each reading.  With --count it ends once that many were made and all are stored.
 * SIGUSR1: no more readings, acks and commands go on.  SIGTERM: the same, and the end when all is stored, or after two seconds.
 */
#define _POSIX_C_SOURCE 200809L
#include "../petiole.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 20, LINE_MS = 100, REOPEN_MS = 100, END_MS = 2000 };

static petiole_slot slots[64];
static petiole the_link;
static int port = -1, led;
static long produced;
static uint32_t open_at;
static volatile sig_atomic_t stopping, ending;

static uint32_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint32_t)((uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u);
}

static void open_port(const char *path)
{
    struct termios t;
    port = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (port < 0) {
        open_at = now_ms() + REOPEN_MS;
        return;
    }
    if (tcgetattr(port, &t) == 0) {
        t.c_iflag = t.c_oflag = t.c_lflag = 0; /* raw */
        t.c_cflag = CS8 | CREAD | CLOCAL;
        t.c_cc[VMIN] = 1;
        t.c_cc[VTIME] = 0;
        cfsetispeed(&t, B115200);
        cfsetospeed(&t, B115200);
        tcsetattr(port, TCSANOW, &t);
    }
}

static void close_port(void)
{
    close(port);
    port = -1;
    open_at = now_ms() + REOPEN_MS;
}

/* What the line does not take is lost, as on a real one: the link sends it again. */
static void send_bytes(void *user, const uint8_t *data, size_t size)
{
    static int stuck; /* nobody reads there: no more waiting until somebody does */
    (void)user;
    while (port >= 0 && size > 0) {
        ssize_t n = write(port, data, size);
        if (n > 0) {
            stuck = 0;
            data += n;
            size -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {0, POLLOUT, 0};
            p.fd = port;
            if (stuck || poll(&p, 1, LINE_MS) <= 0) {
                stuck = 1;
                return;
            }
        } else if (n == 0 || errno != EINTR) {
            close_port();
        }
    }
}

static int is(const char *verb, size_t size, const char *word)
{
    return size == strlen(word) && memcmp(verb, word, size) == 0;
}

static int carry_out(void *user, const char *verb, size_t size, petiole_item argument, petiole_writer *result)
{
    (void)user;
    if (is(verb, size, "echo")) {
        if (argument.size)
            petiole_write_raw(result, argument.data, argument.size);
        return PETIOLE_OK;
    }
    if (is(verb, size, "set_led")) {
        petiole_item on = argument;
        petiole_map_get(argument, "on", &on);
        if (!petiole_read_bool(on, &led))
            return PETIOLE_BAD_ARGUMENT;
        petiole_write_map(result, 1);
        petiole_write_text(result, "on");
        petiole_write_bool(result, led);
        return PETIOLE_OK;
    }
    if (is(verb, size, "status")) {
        petiole_write_map(result, 3);
        petiole_write_text(result, "produced");
        petiole_write_int(result, produced);
        petiole_write_text(result, "unacked");
        petiole_write_uint(result, petiole_unacked(&the_link));
        petiole_write_text(result, "dropped_frames");
        petiole_write_uint(result, the_link.dropped);
        return PETIOLE_OK;
    }
    return PETIOLE_UNKNOWN_VERB;
}

static void on_signal(int number)
{
    stopping = 1;
    if (number == SIGTERM)
        ending = 1;
}

static void produce(long count)
{
    if ((count == 0 || produced < count) && petiole_int(&the_link, "counter", produced + 1, "1", now_ms()) == PETIOLE_KEPT)
        printf("produced %ld\n", ++produced);
}

/* Until something arrives, or for so many milliseconds. */
static void serve(const char *path, int wait)
{
    uint8_t data[512];
    struct pollfd p = {0, POLLIN, 0};
    ssize_t n;
    if (port < 0 && (int32_t)(now_ms() - open_at) >= 0)
        open_port(path);
    p.fd = port;
    if (poll(&p, port >= 0, wait) > 0) {
        n = read(port, data, sizeof data);
        if (n > 0)
            petiole_receive(&the_link, data, (size_t)n, now_ms());
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            close_port();
    }
    petiole_poll(&the_link, now_ms());
}

static int usage(const char *why)
{
    fprintf(stderr, "host_device: %s\nusage: host_device PORT [--name NAME] [--rate READINGS_PER_SECOND] [--count N] [--boot N]\n", why);
    return 2;
}

/* All of the text is a number from 0 on. */
static int number(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == 0 && *value >= 0 && *value <= UINT32_MAX;
}

int main(int argc, char **argv)
{
    petiole_config config = {"device", "host-1.0", 0, slots, sizeof slots / sizeof slots[0], NULL, send_bytes, carry_out};
    double rate = 20, count = 0, boot, next;
    uint32_t start, deadline = 0;
    struct sigaction action;
    int i, said = 0;

    if (argc < 2)
        return usage("no PORT");
    config.boot = (uint32_t)time(NULL) ^ (uint32_t)getpid() << 16 ^ now_ms();
    for (i = 2; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--name") == 0 && *value)
            config.name = value;
        else if (strcmp(argv[i], "--rate") == 0 && number(value, &rate) && rate >= 0.001 && rate <= 1000)
            continue;
        else if (strcmp(argv[i], "--count") == 0 && number(value, &count))
            continue;
        else if (strcmp(argv[i], "--boot") == 0 && number(value, &boot))
            config.boot = (uint32_t)boot;
        else
            return usage(argv[i]);
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!petiole_init(&the_link, &config))
        return usage("--name is too long for a frame");
    open_at = start = now_ms();
    for (next = 0;;) {
        double left = next - (uint32_t)(now_ms() - start);
        serve(argv[1], left < 1 ? (left > 0) : left < POLL_MS ? (int)left : POLL_MS);
        if (stopping && !said) {
            printf("stopped %ld\n", produced);
            said = 1;
        }
        if (!stopping && (uint32_t)(now_ms() - start) >= next) {
            produce((long)count);
            next += 1000 / rate;
            if (petiole_unacked(&the_link) == config.capacity) /* it waits; what it missed it does not catch up */
                next = (uint32_t)(now_ms() - start) + 1000 / rate;
        }
        if (count > 0 && produced >= (long)count && petiole_unacked(&the_link) == 0)
            return 0;
        if (ending && deadline == 0)
            deadline = (now_ms() + END_MS) | 1;
        if (ending && (petiole_unacked(&the_link) == 0 || (int32_t)(now_ms() - deadline) >= 0))
            return 0;
    }
}
