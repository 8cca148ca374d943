/* A provider: any POST is answered by a stream of tokens at a steady rate, in OpenAI's format, one send per token. */
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

#include "completion.h"
#include "histogram.h"
#include "http.h"
#include "lines.h"
#include "net.h"
#include "schedule.h"

/* Sends between two looks at the sockets. */
#define TURN 256

/* µs. Tokens wait for the next of these ticks: waking up for each costs more than sending it, and the load client
 * needs the same core. */
#define TICK 250

struct connection {
    struct http http;
    bool streaming, ending, blocked;
    struct framing framing;
    uint64_t stream, seq;
    uint64_t base; /* µs: token 1 is due one phase after it */
    char *rest;    /* what the socket did not take */
    size_t rest_len;
};

static struct {
    uint64_t tokens;
    double period; /* µs */
    int poll, listener, timer, most;
    struct connection *connections; /* by descriptor */
    struct schedule schedule;
    struct lines lines;
    uint64_t streams, open, sent;
    struct histogram late; /* since the last stats */
} server;

static void drop(int fd) {
    struct connection *connection = &server.connections[fd];
    schedule_remove(&server.schedule, fd);
    server.open -= connection->streaming;
    http_free(&connection->http);
    free(connection->rest);
    *connection = (struct connection){0};
    close(fd);
}

static void poll_for(int fd, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(server.poll, operation, fd, &event))
        fatal(fd == STDIN_FILENO ? "stdin must be a pipe" : "epoll_ctl");
}

static void accept_all(void) {
    for (int fd; (fd = accept_one(server.listener)) >= 0;) {
        http_begin(&server.connections[fd].http, true);
        poll_for(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* Sends or keeps; false when the connection is gone. Never called while something is kept. */
static bool send_or_keep(int fd, const char *data, size_t len) {
    struct connection *connection = &server.connections[fd];
    ssize_t count = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN) {
        drop(fd);
        return false;
    }
    size_t gone = count < 0 ? 0 : (size_t)count;
    if (gone < len) {
        connection->rest = need(malloc(len - gone));
        connection->rest_len = len - gone;
        memcpy(connection->rest, data + gone, len - gone);
        connection->blocked = true;
        schedule_remove(&server.schedule, fd);
        poll_for(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    return true;
}

static uint64_t due_of(const struct connection *connection) {
    if (server.period == 0)
        return now_us(); /* behind all that are due already */
    return connection->base + (uint64_t)((double)connection->seq * server.period);
}

/* What follows a send that was taken whole: the next token's time, or the next request. */
static void go_on(int fd) {
    struct connection *connection = &server.connections[fd];
    if (!connection->ending) {
        schedule_add(&server.schedule, fd, due_of(connection));
        return;
    }
    server.open--;
    connection->streaming = connection->ending = false;
    if (connection->framing.close)
        drop(fd);
    else
        http_begin(&connection->http, true);
}

static void begin_stream(int fd) {
    struct connection *connection = &server.connections[fd];
    char head[COMPLETION_MOST];
    /* The golden ratio spreads any number of phases evenly. */
    double turns = (double)server.streams * 0.6180339887498949;
    double phase = turns - (double)(uint64_t)turns;
    connection->streaming = true;
    connection->seq = 0;
    connection->stream = ++server.streams;
    connection->base = now_us() + (uint64_t)(phase * server.period);
    server.open++;
    if (send_or_keep(fd, head, completion_head(head, connection->framing)) && !connection->blocked)
        go_on(fd);
}

static void refuse(int fd) {
    static const char body[] = "{\"error\":{\"message\":\"Only POST is answered here.\",\"type\":\"invalid_request_error\"}}";
    char answer[512];
    int len = sprintf(answer,
                      "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                      "Connection: close\r\n\r\n%s",
                      sizeof body - 1, body);
    (void)!send(fd, answer, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
    drop(fd);
}

static void on_input(int fd, struct bytes input) {
    struct connection *connection = &server.connections[fd];
    struct http *http = &connection->http;
    struct bytes body;
    for (;;) {
        switch (http_next(http, &input, &body)) {
        case HTTP_HEAD:
            if (memcmp(http->head, "POST ", 5)) {
                refuse(fd);
                return;
            }
            connection->framing = (struct framing){.chunked = !http->version_1_0,
                                                   .close = http->version_1_0 || http->close};
            break;
        case HTTP_DATA:
            break; /* whatever was asked, the answer is the same */
        case HTTP_END:
            if (input.len)
                drop(fd); /* pipelined: nobody does */
            else
                begin_stream(fd);
            return;
        case HTTP_MORE:
            return;
        case HTTP_ERROR:
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
    if (count <= 0 || server.connections[fd].streaming)
        drop(fd);
    else
        on_input(fd, (struct bytes){buffer, (size_t)count});
}

/* The socket takes bytes again. The time that it did not is not made up for: the provider was held up. */
static void on_writable(int fd) {
    struct connection *connection = &server.connections[fd];
    char *rest = connection->rest;
    size_t len = connection->rest_len;
    connection->rest = NULL;
    connection->blocked = false;
    if (send_or_keep(fd, rest, len) && !connection->blocked) {
        uint64_t now = now_us(), due = due_of(connection);
        poll_for(fd, EPOLL_CTL_MOD, EPOLLIN);
        if (due < now)
            connection->base += now - due;
        go_on(fd);
    }
    free(rest);
}

static void send_next(int fd, uint64_t due) {
    struct connection *connection = &server.connections[fd];
    char bytes[COMPLETION_MOST];
    uint64_t now = now_us();
    size_t len;
    histogram_add(&server.late, now - due);
    if (connection->seq < server.tokens) {
        server.sent++;
        len = completion_token(bytes, connection->framing, connection->stream, ++connection->seq, now);
    } else {
        connection->ending = true;
        len = completion_end(bytes, connection->framing, connection->stream, server.tokens);
    }
    schedule_remove(&server.schedule, fd);
    if (send_or_keep(fd, bytes, len) && !connection->blocked)
        go_on(fd);
}

static void command(const char *line) {
    if (!strcmp(line, "quit"))
        exit(0);
    if (!strcmp(line, "stats")) {
        printf("{\"streams\":%llu,\"open\":%llu,\"sent\":%llu,\"late_p99_us\":%.0f,\"cpu_seconds\":%.6f}\n",
               (unsigned long long)server.streams, (unsigned long long)server.open, (unsigned long long)server.sent,
               histogram_quantile(&server.late, 0.99), cpu_seconds());
        histogram_clear(&server.late);
    } else {
        printf("{\"error\":\"commands are: stats, quit\"}\n");
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

/* How long to wait for sockets, in ms; -1 when the timer or a socket will end it. */
static int wait_for_due(void) {
    if (!server.schedule.count)
        return -1;
    uint64_t at = server.schedule.heap[0].at;
    if (at <= now_us())
        return 0;
    at += TICK - at % TICK;
    struct itimerspec due = {.it_value = {(time_t)(at / 1000000), (long)(at % 1000000) * 1000}};
    if (timerfd_settime(server.timer, TFD_TIMER_ABSTIME, &due, NULL))
        fatal("timerfd_settime");
    return -1;
}

static void turn(void) {
    struct epoll_event events[TURN];
    int count = epoll_wait(server.poll, events, TURN, wait_for_due());
    if (count < 0 && errno != EINTR)
        fatal("epoll_wait");
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        if (fd == server.listener)
            accept_all();
        else if (fd == STDIN_FILENO)
            on_stdin();
        else if (fd == server.timer)
            continue;
        else if (events[i].events & ~(uint32_t)EPOLLOUT)
            on_readable(fd);
        else if (server.connections[fd].blocked)
            on_writable(fd);
    }
    for (int i = 0; i < TURN && server.schedule.count; i++) {
        struct due next = server.schedule.heap[0];
        if (next.at > now_us())
            return;
        send_next(next.fd, next.at);
    }
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"port", 1, 0, 'p'}, {"rate", 1, 0, 'r'}, {"tokens", 1, 0, 't'}, {0}};
    int port = 0;
    server.tokens = 200;
    server.period = 20000;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (option == 'p')
            port = (int)parse_number(optarg, 0, 65535, "--port");
        else if (option == 'r') {
            long rate = parse_number(optarg, 0, 100000, "--rate");
            server.period = rate ? 1e6 / (double)rate : 0; /* 0: as fast as the sockets take it */
        } else if (option == 't')
            server.tokens = (uint64_t)parse_number(optarg, 1, 1000000000, "--tokens");
        else
            usage_error("usage: upstream --port P --rate R --tokens N");
    }
    if (optind != argc)
        usage_error("'%s' is not an option", argv[optind]);
    raise_descriptors();
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    server.most = (int)limit.rlim_cur;
    server.connections = need(calloc((size_t)server.most, sizeof *server.connections));
    schedule_open(&server.schedule, server.most);
    server.poll = epoll_create1(EPOLL_CLOEXEC);
    server.listener = listen_on(&port);
    server.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (server.poll < 0 || server.timer < 0)
        fatal("epoll");
    lines_open(STDIN_FILENO);
    poll_for(server.listener, EPOLL_CTL_ADD, EPOLLIN);
    poll_for(server.timer, EPOLL_CTL_ADD, EPOLLIN | EPOLLET);
    poll_for(STDIN_FILENO, EPOLL_CTL_ADD, EPOLLIN);
    print_ready(port);
    for (;;)
        turn();
}
