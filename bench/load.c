/* Load for a NATS server, and a count of what really came back.
 *
 *   load PORT core SUBSCRIBERS SIZE SECONDS     one publisher, every subscriber gets every message
 *   load PORT js   WINDOW      SIZE SECONDS     publishes to js.data, WINDOW of them not acknowledged at a time
 *
 * One thread, non-blocking sockets, frames built beforehand.  Every message that is received is parsed to its end;
 * what is sent is waited for.  Prints one line of JSON; status 2 when something is missing or an ack is an error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024, INBUF = 512 * 1024, MAX_SUBSCRIBERS = 64, CORE_WINDOW = 24 * 1024 };

struct peer {
    int fd;
    size_t have;           /* bytes in buf that are not parsed yet */
    unsigned long long got; /* complete messages */
    char *buf;
};

static unsigned long long ack_errors;

static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) {
                struct pollfd p = {fd, POLLOUT, 0};
                poll(&p, 1, 1000);
                continue;
            }
            die("send: %s", strerror(errno));
        }
        data += sent;
        size -= (size_t)sent;
    }
}

/* Connect, say CONNECT and what follows, wait for the PONG. */
static void join(struct peer *peer, int port, const char *then)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int one = 1;
    char hello[512];
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(peer->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect to port %d: %s", port, strerror(errno));
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    peer->buf = malloc(INBUF);
    peer->have = 0;
    peer->got = 0;
    snprintf(hello, sizeof hello,
             "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"lang\":\"c\",\"version\":\"1\"}\r\n%sPING\r\n",
             then);
    send_all(peer->fd, hello, strlen(hello));
    for (;;) {
        ssize_t n = recv(peer->fd, peer->buf + peer->have, INBUF - 1 - peer->have, 0);
        if (n <= 0)
            die("the server closed the connection");
        peer->have += (size_t)n;
        peer->buf[peer->have] = 0;
        if (strstr(peer->buf, "-ERR"))
            die("the server says: %s", strstr(peer->buf, "-ERR"));
        if (strstr(peer->buf, "PONG\r\n"))
            break;
    }
    peer->have = 0;
    fcntl(peer->fd, F_SETFL, O_NONBLOCK);
}

/* Take every complete operation out of the buffer. */
static void parse(struct peer *peer)
{
    char *at = peer->buf, *end = peer->buf + peer->have;
    while (at < end) {
        char *eol = memchr(at, '\n', (size_t)(end - at));
        if (eol == NULL)
            break;
        if (at[0] == 'M' && at[1] == 'S') {
            char *size = eol - 1;
            size_t length;
            while (size[-1] != ' ')
                size--;
            length = (size_t)strtoul(size, NULL, 10);
            if ((size_t)(end - eol - 1) < length + 2)
                break;
            if (eol[1 + length] != '\r' || eol[2 + length] != '\n')
                die("a message does not end where it says");
            if (length > 8 && memmem(eol + 1, length, "\"error\"", 7))
                ack_errors++;
            peer->got++;
            at = eol + 3 + length;
        } else if (at[0] == '-') {
            die("the server says: %.*s", (int)(eol - at), at);
        } else {
            if (at[0] == 'P' && at[1] == 'I')
                send_all(peer->fd, "PONG\r\n", 6);
            at = eol + 1;
        }
    }
    peer->have = (size_t)(end - at);
    memmove(peer->buf, at, peer->have);
}

static void receive(struct peer *peer)
{
    for (int turn = 0; turn < 4; turn++) {
        ssize_t n = recv(peer->fd, peer->buf + peer->have, INBUF - peer->have, 0);
        if (n == 0)
            die("the server closed the connection");
        if (n < 0) {
            if (errno == EAGAIN)
                return;
            die("recv: %s", strerror(errno));
        }
        peer->have += (size_t)n;
        parse(peer);
    }
}

/* Send as much of data as goes; the number of bytes. */
static size_t send_some(int fd, const char *data, size_t size)
{
    ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno == EAGAIN)
            return 0;
        die("send: %s", strerror(errno));
    }
    return (size_t)sent;
}

static void report(unsigned long long sent, unsigned long long got, unsigned long long wanted, double seconds)
{
    printf("{\"sent\": %llu, \"received\": %llu, \"seconds\": %.6f, \"ack_errors\": %llu}\n", sent, got, seconds, ack_errors);
    exit(got == wanted && ack_errors == 0 ? 0 : 2);
}

static void core(int port, int count, int size, double seconds)
{
    struct peer pub, subs[MAX_SUBSCRIBERS];
    struct pollfd polls[MAX_SUBSCRIBERS + 1];
    char line[64], *frames;
    int head = snprintf(line, sizeof line, "PUB bench.a %d\r\n", size);
    size_t frame = (size_t)(head + size + 2), per_chunk = CHUNK / frame ? CHUNK / frame : 1, at = 0;
    unsigned long long sent = 0, least;
    double begin, deadline;

    for (int i = 0; i < count; i++)
        join(&subs[i], port, "SUB bench.a 1\r\n");
    join(&pub, port, "");
    frames = malloc(frame * per_chunk);
    for (size_t i = 0; i < per_chunk; i++) {
        memcpy(frames + i * frame, line, (size_t)head);
        memset(frames + i * frame + head, 'x', (size_t)size);
        memcpy(frames + i * frame + head + size, "\r\n", 2);
    }
    begin = now();
    deadline = begin + seconds;
    for (;;) {
        int sending = now() < deadline || at != 0;
        least = count ? subs[0].got : sent;
        for (int i = 1; i < count; i++)
            if (subs[i].got < least)
                least = subs[i].got;
        if (!sending && least == sent)
            break;
        if (now() > deadline + 20)
            break;
        for (int i = 0; i < count; i++)
            polls[i] = (struct pollfd){subs[i].fd, POLLIN, 0};
        polls[count] = (struct pollfd){pub.fd, POLLIN, 0};
        if (sending && sent - least < CORE_WINDOW)
            polls[count].events |= POLLOUT;
        poll(polls, (nfds_t)count + 1, 100);
        for (int i = 0; i < count; i++)
            if (polls[i].revents)
                receive(&subs[i]);
        if (polls[count].revents & POLLIN)
            receive(&pub);
        if (polls[count].revents & POLLOUT) {
            at += send_some(pub.fd, frames + at, frame * per_chunk - at);
            if (at == frame * per_chunk) {
                at = 0;
                sent += per_chunk;
            }
        }
    }
    unsigned long long got = 0;
    for (int i = 0; i < count; i++)
        got += subs[i].got;
    report(sent, got, sent * (unsigned long long)count, now() - begin);
}

static void js(int port, int window, int size, double seconds)
{
    struct peer peer;
    char *out = malloc(CHUNK * 2);
    size_t filled = 0, at = 0;
    unsigned long long sent = 0;
    double begin, deadline;

    join(&peer, port, "SUB _INBOX.bench.* 1\r\n");
    begin = now();
    deadline = begin + seconds;
    for (;;) {
        int sending = now() < deadline;
        if (!sending && at == filled && peer.got == sent)
            break;
        if (now() > deadline + 20)
            break;
        if (at == filled && sending) {
            at = filled = 0;
            while (sent - peer.got < (unsigned long long)window && filled + (size_t)size + 128 < CHUNK) {
                filled += (size_t)sprintf(out + filled, "PUB js.data _INBOX.bench.%llu %d\r\n", sent, size);
                memset(out + filled, 'x', (size_t)size);
                filled += (size_t)size;
                memcpy(out + filled, "\r\n", 2);
                filled += 2;
                sent++;
            }
        }
        struct pollfd p = {peer.fd, (short)(POLLIN | (at < filled ? POLLOUT : 0)), 0};
        poll(&p, 1, 100);
        if (p.revents & POLLIN)
            receive(&peer);
        if (p.revents & POLLOUT)
            at += send_some(peer.fd, out + at, filled - at);
    }
    report(sent, peer.got, sent, now() - begin);
}

int main(int argc, char **argv)
{
    if (argc != 6)
        die("usage: load PORT core SUBSCRIBERS SIZE SECONDS | load PORT js WINDOW SIZE SECONDS");
    if (strcmp(argv[2], "core") == 0)
        core(atoi(argv[1]), atoi(argv[3]), atoi(argv[4]), atof(argv[5]));
    else
        js(atoi(argv[1]), atoi(argv[3]), atoi(argv[4]), atof(argv[5]));
    return 0;
}
