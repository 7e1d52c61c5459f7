/* Load for a NATS server, and a check of everything that comes back.
 *
 *   load PORT deliver [lanes=1] [fan=1] [subjects=1] [others=0] [headers=0] [slow=0] [rate=0] [size=128] [seconds=3]
 *   load PORT request [size=128] [seconds=3]
 *   load PORT publish [window=4000] [size=128] [subjects=1] [seconds=3] [count=0] [after=0]
 *   load PORT telemetry [rate=200] [size=100] [seconds=3]
 *   load PORT pull [batch=100] [size=128] [subjects=1] [seconds=3] [count=0] [after=0]
 *   load PORT ordered [size=128] [subjects=1] [count=0] [after=0]
 *
 * publish: to js.data or, with more subjects, js.00000.t and so on, which the stream BENCH captures; it has `after`
 * messages before.  telemetry: so many a second, and nobody is told.  pull: the durable consumer PULL of BENCH, `batch`
 * messages for each request, each acknowledged.  ordered: `count` messages behind `after` by a consumer as clients make
 * them to read in order.  A count ends the load, where it is not 0, however long that takes.
 *
 * auth=1: as user "load" with password "secret".  slow=1: twice as long, and in the second half there is one more
 * subscriber of everything, which reads `rate` bytes a second (0: nothing at all) and may be dropped for it; what it gets
 * counts for nothing.
 *
 * One thread, epoll, no dependencies.  Prints one line of JSON on stdout.  Status 2 and a reason on stderr when a
 * message is missing, comes twice, out of order or altered, when an ack is an error, or when the server says -ERR.
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
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long long count;

enum {
    CHUNK = 64 * 1024,             /* bytes of one send() */
    INBUF = 512 * 1024,            /* bytes of one recv() */
    OUTSTANDING = 4 * 1024 * 1024, /* bytes a subscriber may be behind: far less than where a server drops it */
    LINE = 256,                    /* no control line of ours is longer */
};

static struct {
    const char *name;
    double value;
} settings[] = {{"lanes", 1}, {"fan", 1}, {"subjects", 1}, {"others", 0}, {"headers", 0},
                {"size", 128}, {"window", 4000}, {"auth", 0}, {"slow", 0}, {"rate", 0}, {"seconds", 3}, {"patience", 15},
                {"count", 0}, {"after", 0}, {"batch", 100}};
enum { LANES, FAN, SUBJECTS, OTHERS, HEADERS, SIZE, WINDOW, AUTH, SLOW, RATE, SECONDS, PATIENCE, COUNT, AFTER, BATCH, SETTINGS };

static size_t set(int which) { return (size_t)settings[which].value; }

static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    exit(2);
}

static void *room(size_t items, size_t each)
{
    void *memory = calloc(items, each);
    if (memory == NULL)
        die("out of memory");
    return memory;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_used(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- A connection ------------------------------------------------------------------------------------------- */

struct peer {
    int fd;
    int blocked;   /* the socket took less than it was given; EPOLLOUT clears it */
    int mid_frame; /* a frame is half sent: nothing else may be sent now */
    int owed;      /* PONGs that wait for the frame's end */
    char *in;
    size_t have; /* bytes in `in` that are not parsed yet */
    count pongs, got;
    /* Takes the MSG or HMSG that begins here; its length, 0 if it is not complete. */
    size_t (*take)(struct peer *, const char *at, size_t have);
    void *context;
};

static int epoll;

static void send_all(struct peer *peer, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(peer->fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd p = {peer->fd, POLLOUT, 0};
            poll(&p, 1, 1000);
            continue;
        }
        if (sent < 0)
            die("send: %s", strerror(errno));
        data += sent;
        size -= (size_t)sent;
    }
}

/* Sends what the socket takes; the number of bytes. */
static size_t send_some(struct peer *peer, const char *data, size_t size)
{
    ssize_t sent = send(peer->fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        die("send: %s", strerror(errno));
    if (sent < 0)
        sent = 0;
    peer->blocked = (size_t)sent < size;
    return (size_t)sent;
}

static void answer_pings(struct peer *peer)
{
    if (peer->mid_frame)
        return;
    for (; peer->owed > 0; peer->owed--)
        send_all(peer, "PONG\r\n", 6);
}

static void take_line(struct peer *peer, const char *at, size_t length)
{
    if (*at == '-')
        die("the server says %.*s", (int)length, at);
    if (length >= 4 && memcmp(at, "PING", 4) == 0) {
        peer->owed++;
        answer_pings(peer);
    } else if (length >= 4 && memcmp(at, "PONG", 4) == 0)
        peer->pongs++;
}

static void parse(struct peer *peer)
{
    const char *at = peer->in, *end = peer->in + peer->have;
    while (at < end) {
        size_t used;
        if (*at == 'M' || *at == 'H') {
            if (peer->take == NULL)
                die("a message nobody asked for: %.60s", at);
            used = peer->take(peer, at, (size_t)(end - at));
        } else {
            const char *eol = memchr(at, '\n', (size_t)(end - at));
            used = eol ? (size_t)(eol - at) + 1 : 0;
            if (used)
                take_line(peer, at, used - 1);
        }
        if (used == 0)
            break;
        at += used;
    }
    peer->have = (size_t)(end - at);
    if (at != peer->in)
        memmove(peer->in, at, peer->have);
}

/* Reads the socket empty: epoll tells about each arrival once.  A short read means that it is empty. */
static void receive(struct peer *peer)
{
    for (;;) {
        size_t space = INBUF - peer->have;
        ssize_t n = recv(peer->fd, peer->in + peer->have, space, 0);
        if (n == 0)
            die("the server closed the connection");
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            die("recv: %s", strerror(errno));
        peer->have += (size_t)n;
        parse(peer);
        if ((size_t)n < space)
            return;
    }
}

static void wait_for_peers(int milliseconds)
{
    struct epoll_event events[64];
    int n = epoll_wait(epoll, events, 64, milliseconds);
    for (int i = 0; i < n; i++) {
        struct peer *peer = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            peer->blocked = 0;
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            receive(peer);
    }
}

/* Says PING and waits for the PONG: whatever the server had for this peer before is here then. */
static void settle(struct peer *peer)
{
    double deadline = now() + settings[PATIENCE].value;
    count pongs = peer->pongs;
    send_all(peer, "PING\r\n", 6);
    while (peer->pongs == pongs) {
        if (now() > deadline)
            die("no PONG");
        wait_for_peers(100);
    }
}

static void join(struct peer *peer, int port, const char *subscriptions)
{
    static const char hello[] = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,"
                                "\"lang\":\"c\",\"version\":\"1\",\"protocol\":1";
    static const char user[] = ",\"user\":\"load\",\"pass\":\"secret\"";
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = peer};
    int one = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(peer->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect to port %d: %s", port, strerror(errno));
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(peer->fd, F_SETFL, O_NONBLOCK);
    peer->in = room(1, INBUF + 1); /* ends with a NUL, whatever is received */
    epoll_ctl(epoll, EPOLL_CTL_ADD, peer->fd, &event);
    send_all(peer, hello, sizeof hello - 1);
    if (set(AUTH))
        send_all(peer, user, sizeof user - 1);
    send_all(peer, "}\r\n", 3);
    send_all(peer, subscriptions, strlen(subscriptions));
    settle(peer);
}

/* ---- What came of it ---------------------------------------------------------------------------------------- */

static double *latencies;
static size_t measured, capacity;

static void latency(double seconds)
{
    if (measured == capacity) {
        capacity = capacity ? capacity * 2 : 4096;
        latencies = realloc(latencies, capacity * sizeof *latencies);
        if (latencies == NULL)
            die("out of memory");
    }
    latencies[measured++] = seconds;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double alone, beside; /* deliveries a second: of the half without the slow one, and of that with it */

static int report(count sent, count wanted, count received, count refused, double seconds, double cpu)
{
    printf("{\"sent\": %llu, \"received\": %llu, \"refused\": %llu, \"seconds\": %.6f, \"load_cpu\": %.3f", sent, received,
           refused, seconds, cpu / seconds);
    if (measured > 0) {
        qsort(latencies, measured, sizeof *latencies, by_size);
        printf(", \"p50_us\": %.1f, \"p99_us\": %.1f", latencies[measured / 2] * 1e6, latencies[measured * 99 / 100] * 1e6);
    }
    if (alone > 0)
        printf(", \"alone\": %.1f, \"beside\": %.1f", alone, beside);
    puts("}");
    if (received != wanted)
        fprintf(stderr, "load: %llu came of %llu\n", received, wanted);
    if (refused)
        fprintf(stderr, "load: %llu of %llu acks are errors\n", refused, sent);
    return received == wanted && refused == 0 ? 0 : 2;
}

/* True when nothing has come for so long that nothing will. */
static int stalled(count received, double t)
{
    static count last;
    static double since;
    if (received != last || since == 0) {
        last = received;
        since = t;
    }
    return t - since > settings[PATIENCE].value;
}

/* ---- deliver: publishers, and subscribers that all get everything of their lane ------------------------------ */

static const char HEADER[] = "NATS/1.0\r\nBench: 0123456789\r\n\r\n";

/* Frames of one length that are sent, or awaited, again and again in this order. */
struct ring {
    char *frames;
    size_t frame, length;
};

struct lane {
    struct peer pub, *subs;
    struct ring out, in;
    count sent; /* bytes */
};

static struct ring make_ring(const char *verb, size_t lane, int delivered)
{
    size_t size = set(SIZE), headers = set(HEADERS) ? sizeof HEADER - 1 : 0, subjects = set(SUBJECTS), at = 0;
    size_t rounds = 2 * CHUNK / (subjects * (size + headers)) + 1;
    struct ring ring = {.length = rounds * subjects};

    ring.frames = room(ring.length, LINE + headers + size);
    for (size_t i = 0; i < ring.length; i++) {
        /* A stride, so that neighbours differ. */
        at += (size_t)sprintf(ring.frames + at, "%s%s bench.%zu.%05zu.t ", headers ? "H" : "", verb, lane, i * 7919 % subjects);
        if (delivered)
            at += (size_t)sprintf(ring.frames + at, "1 ");
        if (headers)
            at += (size_t)sprintf(ring.frames + at, "%zu ", headers);
        at += (size_t)sprintf(ring.frames + at, "%zu\r\n%s", headers + size, headers ? HEADER : "");
        memset(ring.frames + at, 'a' + (int)(i % 26), size);
        char place[16]; /* tells what is lost or out of order */
        int digits = snprintf(place, sizeof place, "%08zu", i);
        memcpy(ring.frames + at, place, (size_t)digits < size ? (size_t)digits : size);
        at += size;
        memcpy(ring.frames + at, "\r\n", 2);
        at += 2;
    }
    ring.frame = at / ring.length;
    return ring;
}

/* A delivery is right when it is, byte by byte, the next of the ring. */
static size_t take_delivery(struct peer *peer, const char *at, size_t have)
{
    const struct ring *ring = peer->context;
    if (have < ring->frame)
        return 0;
    const char *wanted = ring->frames + peer->got % ring->length * ring->frame;
    if (memcmp(at, wanted, ring->frame) != 0)
        die("delivery %llu is\n%.*s\nand should be\n%.*s", peer->got, (int)ring->frame, at, (int)ring->frame, wanted);
    peer->got++;
    return ring->frame;
}

static count slowest(const struct lane *lane)
{
    count least = lane->subs[0].got;
    for (size_t i = 1; i < set(FAN); i++)
        if (lane->subs[i].got < least)
            least = lane->subs[i].got;
    return least;
}

/* Sends up to a chunk, ending with a frame; true if more could be sent now. */
static int push(struct lane *lane, int ended)
{
    size_t frame = lane->out.frame, whole = lane->out.length * frame;
    size_t place = (size_t)(lane->sent % whole), part = place % frame;
    count outstanding = (lane->sent / frame - slowest(lane)) * lane->in.frame;

    if (lane->pub.blocked || (part == 0 && (ended || outstanding >= OUTSTANDING)))
        return 0;
    size_t size = CHUNK / frame > 1 ? CHUNK / frame * frame : frame;
    if (place - part + size > whole)
        size = whole - place + part;
    lane->sent += send_some(&lane->pub, lane->out.frames + place, size - part);
    lane->pub.mid_frame = lane->sent % frame != 0;
    answer_pings(&lane->pub);
    return !lane->pub.blocked;
}

static void open_lane(struct lane *lane, size_t number, int port)
{
    char subscription[LINE];
    snprintf(subscription, sizeof subscription, set(SUBJECTS) > 1 ? "SUB bench.%zu.*.> 1\r\n" : "SUB bench.%zu.00000.t 1\r\n",
             number);
    lane->out = make_ring("PUB", number, 0);
    lane->in = make_ring("MSG", number, 1);
    lane->subs = room(set(FAN), sizeof *lane->subs);
    for (size_t i = 0; i < set(FAN); i++) {
        lane->subs[i].take = take_delivery;
        lane->subs[i].context = &lane->in;
        join(&lane->subs[i], port, subscription);
    }
    join(&lane->pub, port, "");
}

static count all_received(const struct lane *lanes)
{
    count received = 0;
    for (size_t i = 0; i < set(LANES); i++)
        for (size_t j = 0; j < set(FAN); j++)
            received += lanes[i].subs[j].got;
    return received;
}

static count all_sent(const struct lane *lanes)
{
    count sent = 0;
    for (size_t i = 0; i < set(LANES); i++)
        sent += lanes[i].sent / lanes[i].out.frame;
    return sent;
}

/* "MSG subject sid [reply] size\r\n": the payload and its length, NULL if the message is not complete. */
static const char *payload_of(const char *at, size_t have, size_t *length)
{
    const char *eol = memchr(at, '\n', have), *size;
    if (eol == NULL)
        return NULL;
    for (size = eol; size > at && size[-1] != ' '; size--)
        ;
    *length = strtoul(size, NULL, 10);
    if ((size_t)(at + have - eol - 1) < *length + 2)
        return NULL;
    if (memcmp(eol + 1 + *length, "\r\n", 2) != 0)
        die("a message does not end where it says: %.*s", (int)(eol - at), at);
    return eol + 1;
}

static size_t take_anything(struct peer *peer, const char *at, size_t have)
{
    size_t length;
    const char *payload = payload_of(at, have, &length);
    (void)peer;
    return payload == NULL ? 0 : (size_t)(payload - at) + length + 2;
}

/* A subscriber of all lanes that does not keep up: nobody waits for it, and epoll says nothing of it. */
static void open_slow(struct peer *peer, int port)
{
    peer->take = take_anything; /* until its PONG has come */
    join(peer, port, "SUB bench.> 1\r\n");
    epoll_ctl(epoll, EPOLL_CTL_DEL, peer->fd, NULL);
}

static void read_slowly(const struct peer *peer, double elapsed)
{
    static double taken;
    size_t due = (size_t)(settings[RATE].value * elapsed - taken);
    if (due < 1024)
        return;
    ssize_t n = recv(peer->fd, peer->in, due < INBUF ? due : INBUF, 0);
    taken += n > 0 ? (double)n : (double)due; /* empty, or dropped by the server */
}

static int deliver(int port)
{
    struct lane *lanes = room(set(LANES), sizeof *lanes);
    struct peer others = {0}, slow = {0};
    double half = 0; /* when the slow one came */
    count by_then = 0;
    char *subscriptions = room(set(OTHERS) + 1, LINE), *at = subscriptions;

    for (size_t i = 0; i < set(OTHERS); i++)
        at += sprintf(at, "SUB other.%zu.*.> %zu\r\n", i, i + 1);
    join(&others, port, subscriptions);
    for (size_t i = 0; i < set(LANES); i++)
        open_lane(&lanes[i], i, port);
    double begin = now(), cpu = cpu_used(), t = begin;
    for (;; t = now()) {
        int over = t - (half > 0 ? half : begin) >= settings[SECONDS].value, ended = over && (half > 0 || !set(SLOW));
        int more = 0, mid_frame = 0;
        if (over && !ended) {
            alone = (double)all_received(lanes) / (t - begin);
            open_slow(&slow, port);
            by_then = all_received(lanes);
            half = now();
        }
        for (size_t i = 0; i < set(LANES); i++) {
            more |= push(&lanes[i], ended);
            mid_frame |= lanes[i].pub.mid_frame;
        }
        count received = all_received(lanes);
        if ((ended && !mid_frame && received >= all_sent(lanes) * set(FAN)) || stalled(received, t))
            break;
        if (half > 0)
            read_slowly(&slow, t - half);
        wait_for_peers(more ? 0 : 100);
    }
    t = now();
    cpu = cpu_used() - cpu;
    beside = (double)(all_received(lanes) - by_then) / (t - half);
    for (size_t i = 0; i < set(LANES); i++) /* anything that came twice is here after this */
        for (size_t j = 0; j < set(FAN); j++)
            settle(&lanes[i].subs[j]);
    return report(all_sent(lanes), all_sent(lanes) * set(FAN), all_received(lanes), 0, t - begin, cpu);
}

/* ---- request: one client asks, another answers, one question at a time --------------------------------------- */

static char wanted[LINE], *frame_out;
static size_t wanted_length;

static size_t take_question(struct peer *peer, const char *at, size_t have)
{
    static const char subject[] = "MSG bench.ask 1 _INBOX.load.";
    size_t length, head;
    const char *payload = payload_of(at, have, &length);
    if (payload == NULL)
        return 0;
    if (strncmp(at, subject, sizeof subject - 1) != 0 || length != set(SIZE))
        die("a question is %.60s", at);
    count n = strtoull(at + sizeof subject - 1, NULL, 10);
    head = (size_t)sprintf(frame_out, "PUB _INBOX.load.%llu %zu\r\n", n, length);
    memcpy(frame_out + head, payload, length + 2);
    send_all(peer, frame_out, head + length + 2);
    peer->got++;
    return (size_t)(payload - at) + length + 2;
}

static size_t take_answer(struct peer *peer, const char *at, size_t have)
{
    size_t length;
    const char *payload = payload_of(at, have, &length);
    if (payload == NULL)
        return 0;
    if ((size_t)(payload - at) != wanted_length || memcmp(at, wanted, wanted_length) != 0)
        die("an answer is %.60s and should be %s", at, wanted);
    peer->got++;
    return (size_t)(payload - at) + length + 2;
}

static int request(int port)
{
    struct peer asks = {.take = take_answer}, answers = {.take = take_question};
    size_t size = set(SIZE);
    char *question = room(1, LINE + size);
    count sent = 0;

    frame_out = room(1, LINE + size);
    join(&answers, port, "SUB bench.ask 1\r\n");
    join(&asks, port, "SUB _INBOX.load.* 1\r\n");
    double begin = now(), cpu = cpu_used(), t = begin;
    for (; t - begin < settings[SECONDS].value; sent++) {
        size_t head = (size_t)sprintf(question, "PUB bench.ask _INBOX.load.%llu %zu\r\n", sent, size);
        memset(question + head, 'x', size);
        memcpy(question + head + size, "\r\n", 2);
        wanted_length = (size_t)sprintf(wanted, "MSG _INBOX.load.%llu 1 %zu\r\n", sent, size);
        double asked = now();
        send_all(&asks, question, head + size + 2);
        while (asks.got == sent && !stalled(sent, now()))
            wait_for_peers(100);
        t = now();
        latency(t - asked);
        if (asks.got == sent)
            return report(sent + 1, sent + 1, asks.got, 0, t - begin, cpu_used() - cpu);
    }
    cpu = cpu_used() - cpu;
    settle(&asks);
    return report(sent, sent, asks.got, 0, t - begin, cpu);
}

/* ---- publish: to a stream, a window of messages without their ack -------------------------------------------- */

struct slot {
    count number;
    double sent_at;
    int open;
};

static struct slot *slots; /* message n is in slot n % window until its ack is here */
static count refused;

static void take_refusal(const char *text, size_t length)
{
    if (refused++ == 0)
        fprintf(stderr, "load: the first error: %.*s\n", (int)length, text);
}

/* The reply subject says which message is acked, and the stream's sequence must be its number plus one. */
static size_t take_ack(struct peer *peer, const char *at, size_t have)
{
    static const char subject[] = "MSG _INBOX.load.";
    size_t length;
    const char *payload = payload_of(at, have, &length), *begin = *at == 'H' ? at + 1 : at, *seq;
    if (payload == NULL)
        return 0;
    if (strncmp(begin, subject, sizeof subject - 1) != 0)
        die("an ack is %.60s", at);
    count n = strtoull(begin + sizeof subject - 1, NULL, 10);
    struct slot *slot = &slots[n % set(WINDOW)];
    if (!slot->open || slot->number != n)
        die("message %llu is acked a second time or was never sent", n);
    slot->open = 0;
    if (!set(COUNT))
        latency(now() - slot->sent_at);
    seq = memmem(payload, length, "\"seq\":", 6);
    if (*at == 'H' || memmem(payload, length, "\"error\"", 7) || seq == NULL)
        take_refusal(payload, length);
    else if (!refused && strtoull(seq + 6, NULL, 10) != set(AFTER) + n + 1)
        die("message %llu is acked with %.*s", n, (int)length, payload);
    peer->got++;
    return (size_t)(payload - at) + length + 2;
}

/* What message `seq` of the stream is: its subject and, `size` times, its letter. */
static size_t subject_of(count seq, char *out)
{
    if (set(SUBJECTS) == 1)
        return (size_t)sprintf(out, "js.data");
    return (size_t)sprintf(out, "js.%05llu.t", seq * 7919 % set(SUBJECTS));
}

static int letter_of(count seq) { return 'a' + (int)(seq % 26); }

static size_t put_message(char *out, count seq, const char *reply)
{
    size_t at = (size_t)sprintf(out, "PUB "), size = set(SIZE);
    at += subject_of(seq, out + at);
    at += (size_t)sprintf(out + at, " %s%zu\r\n", reply, size);
    memset(out + at, letter_of(seq), size);
    memcpy(out + at + size, "\r\n", 2);
    return at + size + 2;
}

/* Frames for as many slots as are free and a chunk holds; their bytes. */
static size_t fill(char *out, count *sent)
{
    char reply[LINE];
    size_t filled = 0, size = set(SIZE);
    double t = now();
    while (filled + size + LINE <= CHUNK + size && !(set(COUNT) && *sent >= set(COUNT))) {
        struct slot *slot = &slots[*sent % set(WINDOW)];
        if (slot->open)
            break;
        *slot = (struct slot){*sent, t, 1};
        snprintf(reply, sizeof reply, "_INBOX.load.%llu ", *sent);
        filled += put_message(out + filled, set(AFTER) + ++*sent, reply);
    }
    return filled;
}

static int publish(int port)
{
    struct peer peer = {.take = take_ack};
    char *out = room(1, CHUNK + set(SIZE) + LINE);
    size_t filled = 0, at = 0;
    count sent = 0;

    slots = room(set(WINDOW), sizeof *slots);
    join(&peer, port, "SUB _INBOX.load.* 1\r\n");
    double begin = now(), cpu = cpu_used(), t = begin;
    for (;; t = now()) {
        int ended = set(COUNT) ? sent >= set(COUNT) : t - begin >= settings[SECONDS].value;
        if (at == filled && !ended) {
            at = 0;
            filled = fill(out, &sent);
        }
        if (at < filled && !peer.blocked)
            at += send_some(&peer, out + at, filled - at);
        peer.mid_frame = at < filled;
        answer_pings(&peer);
        if ((ended && at == filled && peer.got >= sent) || stalled(peer.got, t))
            break;
        wait_for_peers(at == filled && !ended && !slots[sent % set(WINDOW)].open ? 0 : 100);
    }
    t = now();
    cpu = cpu_used() - cpu;
    settle(&peer);
    return report(sent, sent, peer.got, refused, t - begin, cpu);
}

/* ---- telemetry: a trickle that nobody waits for --------------------------------------------------------------- */

static int telemetry(int port)
{
    struct peer peer = {0};
    char *out = room(1, set(SIZE) + LINE);
    count sent = 0;

    join(&peer, port, "");
    double begin = now(), cpu = cpu_used(), t = begin;
    for (; t - begin < settings[SECONDS].value; t = now()) {
        if ((double)sent < (t - begin) * settings[RATE].value) {
            ++sent;
            send_all(&peer, out, put_message(out, set(AFTER) + sent, ""));
        } else
            wait_for_peers(1);
    }
    cpu = cpu_used() - cpu;
    settle(&peer);
    return report(sent, sent, sent, 0, t - begin, cpu);
}

/* ---- pull and ordered: what a stream holds, read by a consumer ------------------------------------------------ */

struct reading {
    char *out; /* acks and requests that are to be sent */
    size_t filled;
    count asked, acked; /* requests, and messages that were acknowledged */
    int acks;
};

static void take_status(struct peer *peer, const char *at, const char *reply, size_t length)
{
    struct reading *reading = peer->context;
    const char *head = strchr(at, '\n') + 1, *stalled = strstr(at, "Nats-Consumer-Stalled: ");
    if (strncmp(head, "NATS/1.0 100", 12) != 0)
        die("instead of a message: %.*s", (int)(head - at + 80), at);
    if (length == 0 && stalled != NULL) {
        reply = stalled + strlen("Nats-Consumer-Stalled: ");
        length = strcspn(reply, "\r");
    }
    if (length > 0) /* flow control */
        reading->filled += (size_t)sprintf(reading->out + reading->filled, "PUB %.*s 0\r\n\r\n", (int)length, reply);
}

/* Of "$JS.ACK.<stream>.<consumer>.<count>.<seq>.<consumer seq>.<time>.<pending>", or with domain and account in front. */
static void read_place(const char *reply, size_t length, count *seq, count *consumer_seq)
{
    const char *at = reply, *end = reply + length, *starts[16];
    int tokens = 0;
    while (tokens < 16) {
        starts[tokens++] = at;
        at = memchr(at, '.', (size_t)(end - at));
        if (at++ == NULL)
            break;
    }
    if (tokens < 9 || strncmp(reply, "$JS.ACK.", 8) != 0)
        die("a reply subject is %.*s", (int)length, reply);
    int skipped = tokens == 9 ? 0 : 2;
    *seq = strtoull(starts[5 + skipped], NULL, 10);
    *consumer_seq = strtoull(starts[6 + skipped], NULL, 10);
}

/* A stored message is right when it is the next, by both sequences, with its subject and its letters. */
static size_t take_stored(struct peer *peer, const char *at, size_t have)
{
    struct reading *reading = peer->context;
    char line[LINE], wanted[LINE];
    size_t length;
    const char *payload = payload_of(at, have, &length);
    if (payload == NULL)
        return 0;
    size_t used = (size_t)(payload - at) + length + 2;
    const char *words[6];
    size_t number = 0, lengths[6];
    for (const char *word = at; number < 6; word += lengths[number++] + 1) {
        words[number] = word;
        lengths[number] = strcspn(word, " \r");
        if (word[lengths[number]] == '\r') {
            number++;
            break;
        }
    }
    int has_headers = *at == 'H';
    size_t plain = has_headers ? 5 : 4; /* words of a line without a reply */
    const char *reply = number > plain ? words[3] : "";
    size_t reply_length = number > plain ? lengths[3] : 0;
    if (reply_length == 0 || strncmp(reply, "$JS.ACK.", 8) != 0) {
        if (has_headers)
            take_status(peer, at, reply, reply_length);
        else if (memmem(payload, length, "\"error\"", 7))
            die("the consumer is refused: %.*s", (int)length, payload);
        return used;
    }
    count seq, consumer_seq, next = set(AFTER) + peer->got + 1;
    read_place(reply, reply_length, &seq, &consumer_seq);
    if (seq != next || consumer_seq != peer->got + 1)
        die("message %llu, the consumer's %llu, came where message %llu should", seq, consumer_seq, next);
    size_t subject = subject_of(seq, wanted);
    if (lengths[1] != subject || memcmp(words[1], wanted, subject) != 0)
        die("message %llu has the subject %.*s and should have %s", seq, (int)lengths[1], words[1], wanted);
    if (length != set(SIZE) || *payload != letter_of(seq) || memcmp(payload, payload + 1, length - 1) != 0)
        die("message %llu is %.*s", seq, (int)length, payload);
    peer->got++;
    if (reading->acks) {
        memcpy(line, reply, reply_length);
        reading->filled += (size_t)sprintf(reading->out + reading->filled, "PUB %.*s 4\r\n+ACK\r\n", (int)reply_length, line);
        reading->acked++;
    }
    return used;
}

static void send_filled(struct peer *peer, struct reading *reading)
{
    send_all(peer, reading->out, reading->filled);
    reading->filled = 0;
}

static int pull(int port)
{
    struct reading reading = {.out = room(1, INBUF * 2), .acks = 1};
    struct peer peer = {.take = take_stored, .context = &reading};
    char request[LINE];

    join(&peer, port, "SUB _INBOX.load.* 1\r\n");
    int size = sprintf(request, "{\"batch\":%zu,\"expires\":30000000000}", set(BATCH));
    double begin = now(), cpu = cpu_used(), t = begin;
    for (;; t = now()) {
        int ended = set(COUNT) ? peer.got >= set(COUNT) : t - begin >= settings[SECONDS].value;
        if (peer.got == reading.asked * set(BATCH)) {
            if (ended)
                break;
            reading.filled += (size_t)sprintf(reading.out + reading.filled,
                                              "PUB $JS.API.CONSUMER.MSG.NEXT.BENCH.PULL _INBOX.load.%llu %d\r\n%s\r\n",
                                              reading.asked++, size, request);
        }
        send_filled(&peer, &reading);
        if (stalled(peer.got, t))
            break;
        wait_for_peers(100);
    }
    send_filled(&peer, &reading);
    settle(&peer); /* what it acknowledged has been read */
    t = now();
    return report(reading.asked * set(BATCH), reading.asked * set(BATCH), peer.got, 0, t - begin, cpu_used() - cpu);
}

static int ordered(int port)
{
    struct reading reading = {.out = room(1, INBUF * 2)};
    struct peer peer = {.take = take_stored, .context = &reading};
    char create[2 * LINE];

    join(&peer, port, "SUB _INBOX.load.c 1\r\nSUB _INBOX.load.d 2\r\n");
    int size = sprintf(create,
                       "{\"stream_name\":\"BENCH\",\"config\":{\"name\":\"ordered%d\",\"deliver_subject\":\"_INBOX.load.d\","
                       "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":%zu,\"ack_policy\":\"none\",\"max_deliver\":1,"
                       "\"replay_policy\":\"instant\",\"flow_control\":true,\"idle_heartbeat\":5000000000,"
                       "\"ack_wait\":79200000000000,\"mem_storage\":true,\"num_replicas\":1}}", getpid(), set(AFTER) + 1);
    double begin = now(), cpu = cpu_used(), t = begin;
    reading.filled = (size_t)sprintf(reading.out, "PUB $JS.API.CONSUMER.CREATE.BENCH.ordered%d _INBOX.load.c %d\r\n%s\r\n",
                                     getpid(), size, create);
    for (; peer.got < set(COUNT) && !stalled(peer.got, t); t = now()) {
        send_filled(&peer, &reading);
        wait_for_peers(100);
    }
    t = now();
    cpu = cpu_used() - cpu;
    send_filled(&peer, &reading);
    settle(&peer);
    return report(set(COUNT), set(COUNT), peer.got, 0, t - begin, cpu);
}

/* ------------------------------------------------------------------------------------------------------------- */

static void read_setting(const char *text)
{
    for (int i = 0; i < SETTINGS; i++) {
        size_t length = strlen(settings[i].name);
        char *end;
        if (strncmp(text, settings[i].name, length) != 0 || text[length] != '=')
            continue;
        settings[i].value = strtod(text + length + 1, &end);
        if (*end != 0 || settings[i].value < 0)
            die("%s: expected a number", text);
        return;
    }
    die("%s: no such setting", text);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        die("usage: load PORT deliver|request|publish|telemetry|pull|ordered [setting=number ...]");
    for (int i = 3; i < argc; i++)
        read_setting(argv[i]);
    for (int i = LANES; i <= WINDOW; i++)
        if (i != OTHERS && i != HEADERS && set(i) < 1) /* the rest may be 0 */
            die("%s must be at least 1", settings[i].name);
    int port = atoi(argv[1]);
    epoll = epoll_create1(0);
    if (strcmp(argv[2], "deliver") == 0)
        return deliver(port);
    if (strcmp(argv[2], "request") == 0)
        return request(port);
    if (strcmp(argv[2], "publish") == 0)
        return publish(port);
    if (strcmp(argv[2], "telemetry") == 0)
        return telemetry(port);
    if (strcmp(argv[2], "pull") == 0)
        return pull(port);
    if (strcmp(argv[2], "ordered") == 0)
        return ordered(port);
    die("%s: no such load", argv[2]);
}
