/* A device on this machine: a counter's readings over a serial port or pseudo-terminal, and a few commands.
 *
 *   host_device PORT [--name NAME] [--rate READINGS_PER_SECOND] [--count N] [--boot N]
 *
 * Prints "produced <n>" for each reading.  With --count it ends once that many were made and all are stored.
 * SIGUSR1: no more readings, acks and commands go on.  SIGTERM: the same, and the end after two seconds at most.
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

static petiole_slot slots[64];
static petiole the_link;
static int port = -1, led;
static long produced;
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
    if (port < 0)
        return;
    if (tcgetattr(port, &t) == 0) {
        t.c_iflag = t.c_oflag = t.c_lflag = 0; /* raw */
        t.c_cflag = CS8 | CREAD | CLOCAL;
        cfsetispeed(&t, B115200);
        cfsetospeed(&t, B115200);
        tcsetattr(port, TCSANOW, &t);
    }
}

static void close_port(void)
{
    close(port);
    port = -1;
}

/* What the line does not take is lost, as on a real one: the link sends it again. */
static void send_bytes(void *user, const uint8_t *data, size_t size)
{
    (void)user;
    while (port >= 0 && size > 0) {
        ssize_t n = write(port, data, size);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {0, POLLOUT, 0};
            p.fd = port;
            if (poll(&p, 1, 100) <= 0)
                return;
        } else {
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
    static int said;
    if (stopping) {
        if (!said)
            printf("stopped %ld\n", produced);
        said = 1;
    } else if ((count == 0 || produced < count) && petiole_int(&the_link, "counter", produced + 1, "1", now_ms())) {
        printf("produced %ld\n", ++produced);
    }
}

static void serve(const char *path)
{
    uint8_t data[512];
    struct pollfd p = {0, POLLIN, 0};
    ssize_t n;
    if (port < 0)
        open_port(path);
    p.fd = port;
    poll(&p, port >= 0, 5);
    if (port >= 0 && p.revents) {
        n = read(port, data, sizeof data);
        if (n > 0)
            petiole_receive(&the_link, data, (size_t)n, now_ms());
        else if (n == 0 || errno != EAGAIN)
            close_port();
    }
    petiole_poll(&the_link, now_ms());
}

int main(int argc, char **argv)
{
    petiole_config config = {"device", "host-1.0", 0, slots, sizeof slots / sizeof slots[0], NULL, send_bytes, carry_out};
    double rate = 20;
    long count = 0;
    uint32_t next, deadline = 0;
    struct sigaction action;
    int i;

    if (argc < 2) {
        fprintf(stderr, "usage: host_device PORT [--name NAME] [--rate R] [--count N] [--boot N]\n");
        return 2;
    }
    config.boot = (uint32_t)time(NULL) ^ (uint32_t)getpid() << 16 ^ now_ms();
    for (i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--name") == 0)
            config.name = argv[i + 1];
        else if (strcmp(argv[i], "--rate") == 0)
            rate = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--count") == 0)
            count = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--boot") == 0)
            config.boot = (uint32_t)strtoul(argv[i + 1], NULL, 0);
    }
    if (rate <= 0) {
        fprintf(stderr, "host_device: --rate must be above 0\n");
        return 2;
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    petiole_init(&the_link, &config);
    next = now_ms();
    for (;;) {
        serve(argv[1]);
        if ((int32_t)(now_ms() - next) >= 0) {
            produce(count);
            next += (uint32_t)(1000 / rate) ? (uint32_t)(1000 / rate) : 1;
        }
        if (count > 0 && produced >= count && petiole_unacked(&the_link) == 0)
            return 0;
        if (ending && deadline == 0)
            deadline = now_ms() + 2000;
        if (ending && (petiole_unacked(&the_link) == 0 || (int32_t)(now_ms() - deadline) >= 0))
            return 0;
    }
}
