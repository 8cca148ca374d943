/* The floor of all fan-outs: one thread, one epoll, one plain send() per watcher and event.
 *
 * It keeps nothing: no history, no queue. A watcher whose send would block is closed, so memory is bounded by the
 * number of connections. The framing is tokentape's, so that both send the same number of bytes. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "event.h"
#include "handshake.h"
#include "http.h"
#include "lines.h"
#include "net.h"

#define MOST_MERGED 64

struct client {
    struct http http;
    int place; /* in `watchers`; -1 before the upgrade */
};

static struct {
    bool websocket;
    uint64_t merge;
    int poll, listener, timer;
    struct client *clients; /* by descriptor */
    int *watchers;          /* descriptors, dense */
    int watching, most;
    uint64_t dropped; /* watchers that did not take an event at once */
    struct lines lines;
} server;

static struct {
    double rate;
    uint64_t count, emitted, started, due;
    uint64_t before; /* events of the starts before this one: seq goes on */
} run;

static const char sse_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, "
                               "no-transform\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n";

static void drop(int fd) {
    struct client *client = &server.clients[fd];
    if (client->place >= 0) {
        int last = server.watchers[--server.watching];
        server.watchers[client->place] = last;
        server.clients[last].place = client->place;
    }
    http_free(&client->http);
    close(fd);
}

static void accept_all(void) {
    for (int fd; (fd = accept_one(server.listener)) >= 0;) {
        if (fd >= server.most) {
            close(fd);
            continue;
        }
        struct client *client = &server.clients[fd];
        http_begin(&client->http, true);
        client->place = -1;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(server.poll, EPOLL_CTL_ADD, fd, &event))
            fatal("epoll_ctl");
    }
}

/* The answer to a complete request head, or NULL when it is not what this server is for. */
static const char *answer_to(const struct http *request) {
    static char upgrade[256];
    struct bytes key;
    char accept[29];
    if (!server.websocket)
        return sse_head;
    if (!http_header(request, "sec-websocket-key", &key))
        return NULL;
    websocket_accept(key, accept);
    snprintf(upgrade, sizeof upgrade,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    return upgrade;
}

static void send_or_drop(int fd, const char *data, size_t len) {
    if (send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len) {
        drop(fd);
        server.dropped++;
    }
}

static void on_request(int fd, struct bytes input) {
    struct client *client = &server.clients[fd];
    struct bytes body;
    const char *answer = NULL;
    for (;;) {
        switch (http_next(&client->http, &input, &body)) {
        case HTTP_HEAD:
            answer = answer_to(&client->http);
            if (!answer) {
                static const char refusal[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                (void)!send(fd, refusal, sizeof refusal - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
                drop(fd);
                return;
            }
            /* Sent before the body has come, if there is one: nothing here depends on it. */
            client->place = server.watching;
            server.watchers[server.watching++] = fd;
            http_free(&client->http);
            send_or_drop(fd, answer, strlen(answer));
            return;
        case HTTP_MORE:
            return;
        default:
            drop(fd);
            return;
        }
    }
}

static void on_readable(int fd) {
    static char buffer[65536];
    ssize_t count = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN)
        return;
    bool watching = server.clients[fd].place >= 0;
    bool close_frame = watching && server.websocket && count > 0 && (buffer[0] & 0x0f) == 8;
    if (count <= 0 || close_frame)
        drop(fd);
    else if (!watching)
        on_request(fd, (struct bytes){buffer, (size_t)count});
}

static size_t write_event(char *out, uint64_t seq, uint64_t micros) {
    /* k3f9x2ab: an epoch as long as tokentape's. */
    static const char sse[] = "id: k3f9x2ab-", sse_data[] = "\ndata: {\"type\":\"token\",\"data\":\"", sse_end[] = "\"}\n\n";
    static const char ws[] = "{\"op\":\"event\",\"stream\":\"bench\",\"cursor\":\"k3f9x2ab-",
                      ws_data[] = "\",\"event\":{\"type\":\"token\",\"data\":\"", ws_end[] = "\"}}";
    char *at = out;
    const char *parts[] = {server.websocket ? ws : sse, server.websocket ? ws_data : sse_data,
                           server.websocket ? ws_end : sse_end};
    at = stpcpy(at, parts[0]);
    at += write_number(at, seq);
    at = stpcpy(at, parts[1]);
    at += write_event_text(at, seq, micros);
    at = stpcpy(at, parts[2]);
    return (size_t)(at - out);
}

static size_t write_framed(char *out, uint64_t seq, uint64_t micros) {
    char payload[256];
    size_t len = write_event(payload, seq, micros), head;
    if (server.websocket) {
        out[0] = (char)0x81;
        head = len < 126 ? 2 : 4;
        out[1] = (char)(len < 126 ? len : 126);
        if (head == 4) {
            out[2] = (char)(len >> 8);
            out[3] = (char)len;
        }
        memcpy(out + head, payload, len);
        return head + len;
    }
    head = (size_t)sprintf(out, "%zx\r\n", len);
    memcpy(out + head, payload, len);
    memcpy(out + head + len, "\r\n", 2);
    return head + len + 2;
}

static void emit(void) {
    static char bytes[MOST_MERGED * 320];
    uint64_t made = now_us();
    size_t len = 0;
    for (uint64_t i = 0; i < server.merge && run.emitted < run.count; i++)
        len += write_framed(bytes + len, run.before + ++run.emitted, made);
    /* From the end: what takes the place of a dropped watcher has been served already. */
    for (int i = server.watching - 1; i >= 0; i--)
        send_or_drop(server.watchers[i], bytes, len);
    if (run.emitted == run.count) {
        printf("{\"emitted\":%llu,\"seconds\":%.6f,\"dropped\":%llu}\n", (unsigned long long)run.count,
               (double)(now_us() - run.started) / 1e6, (unsigned long long)server.dropped);
        fflush(stdout);
        run.before += run.count;
        run.count = 0;
    } else if (run.rate > 0) {
        run.due = run.started + (uint64_t)((double)run.emitted * 1e6 / run.rate);
    }
}

static void command(const char *line) {
    double rate;
    long long count;
    if (!strcmp(line, "quit"))
        exit(0);
    if (sscanf(line, "start %lf %lld", &rate, &count) != 2 || rate < 0 || count < 1)
        printf("{\"error\":\"commands are: start RATE COUNT, quit\"}\n");
    else if (run.count)
        printf("{\"error\":\"the last start is not done\"}\n");
    else {
        run.rate = rate;
        run.count = (uint64_t)count;
        run.emitted = 0;
        run.started = run.due = now_us();
        printf("{\"ok\":true}\n");
    }
    fflush(stdout);
}

static void on_stdin(void) {
    char line[256];
    lines_read(&server.lines, STDIN_FILENO);
    while (lines_next(&server.lines, line))
        command(line);
    if (server.lines.ended)
        exit(0); /* whoever started this program is gone */
}

/* How long to wait for connections, in ms; -1 when the timer or a connection will end it. */
static int wait_for_due(void) {
    if (!run.count)
        return -1;
    if (run.due <= now_us())
        return 0;
    struct itimerspec due = {.it_value = {(time_t)(run.due / 1000000), (long)(run.due % 1000000) * 1000}};
    if (timerfd_settime(server.timer, TFD_TIMER_ABSTIME, &due, NULL))
        fatal("timerfd_settime");
    return -1;
}

static void serve(void) {
    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(server.poll, events, 256, wait_for_due());
        if (count < 0 && errno != EINTR)
            fatal("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == server.listener)
                accept_all();
            else if (fd == STDIN_FILENO)
                on_stdin();
            else if (fd != server.timer)
                on_readable(fd);
        }
        if (run.count && run.due <= now_us())
            emit();
    }
}

static void watch(int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(server.poll, EPOLL_CTL_ADD, fd, &event))
        fatal(fd == STDIN_FILENO ? "stdin must be a pipe" : "epoll_ctl");
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"port", 1, 0, 'p'}, {"transport", 1, 0, 't'}, {"merge", 1, 0, 'm'}, {0}};
    int port = 0;
    server.merge = 1;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (option == 'p')
            port = (int)parse_number(optarg, 0, 65535, "--port");
        else if (option == 'm')
            server.merge = (uint64_t)parse_number(optarg, 1, MOST_MERGED, "--merge");
        else if (option == 't' && (!strcmp(optarg, "sse") || !strcmp(optarg, "ws")))
            server.websocket = *optarg == 'w';
        else
            usage_error("usage: floor --port P --transport sse|ws [--merge K]");
    }
    if (optind != argc)
        usage_error("'%s' is not an option", argv[optind]);
    raise_descriptors();
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    server.most = (int)limit.rlim_cur;
    server.clients = need(calloc((size_t)server.most, sizeof *server.clients));
    server.watchers = need(calloc((size_t)server.most, sizeof *server.watchers));
    server.poll = epoll_create1(EPOLL_CLOEXEC);
    server.listener = listen_on(&port);
    server.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (server.poll < 0 || server.timer < 0)
        fatal("epoll");
    lines_open(STDIN_FILENO);
    watch(server.listener, EPOLLIN);
    watch(server.timer, EPOLLIN | EPOLLET);
    watch(STDIN_FILENO, EPOLLIN);
    print_ready(port);
    serve();
}
