#define _GNU_SOURCE
#include "publish.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "event.h"
#include "http.h"
#include "lines.h"

static struct publish_options options;
static struct lines lines;

/* The one keep-alive connection. */
static struct {
    int fd; /* -1: none */
    struct http http;
    struct sending sending;
    uint64_t answers; /* on this connection */
    bool answering;   /* the answer has begun */
} connection = {.fd = -1};

static struct {
    double rate;
    uint64_t before; /* events of the starts before this one: seq goes on */
    uint64_t count, made, published, failed, retried;
    uint64_t started, finished; /* µs */
    uint64_t in_flight;         /* events of the request that is out */
    char error[320];
    size_t error_len;
} run;

/* The `done` that waits: until then, in µs; 0 when there is none. */
static uint64_t done_by;

static void disconnect(void) {
    if (connection.fd >= 0)
        close(connection.fd);
    connection.fd = -1;
    sending_clear(&connection.sending);
    http_free(&connection.http);
    connection.answering = false;
}

static void explain(const char *text, size_t len) {
    size_t room = sizeof run.error - run.error_len;
    if (len > room)
        len = room;
    memcpy(run.error + run.error_len, text, len);
    run.error_len += len;
}

/* The run cannot go on: what is not published has failed. */
static void give_up(const char *why) {
    if (!run.error_len)
        explain(why, strlen(why));
    run.failed = run.count - run.published;
    run.made = run.count;
    run.in_flight = 0;
    run.finished = now_us();
    disconnect();
}

static void connect_again(void) {
    connection.fd = connect_to(options.request.host, options.request.port, 0);
    connection.answers = 0;
    if (connection.fd < 0)
        give_up(strerror(errno));
    else
        http_begin(&connection.http, false);
}

static void flush(void) {
    /* A failure shows again when the answer is read. */
    if (sending_flush(&connection.sending, connection.fd) < 0)
        sending_clear(&connection.sending);
}

/* The events `first` and on, as the body of one POST. */
static void send_events(uint64_t first, uint64_t count) {
    char *body = need(malloc(count * (EVENT_TEXT + 3) + 2)), *at = body;
    uint64_t made = now_us();
    if (options.batch)
        *at++ = '[';
    for (uint64_t i = 0; i < count; i++) {
        if (options.batch)
            at = mempcpy(at, i ? ",\"" : "\"", i ? 2 : 1);
        at += write_event_text(at, first + i, made);
        if (options.batch)
            *at++ = '"';
    }
    if (options.batch)
        *at++ = ']';
    struct request request = options.request;
    request.body = (struct bytes){body, (size_t)(at - body)};
    request_write(&request, 0, NULL, &connection.sending);
    free(body);
    run.in_flight = count;
    if (connection.answers)
        flush(); /* else when it is connected: a send before would take the reason of a failure with it */
}

static uint64_t next_due(void) {
    return run.started + (run.rate > 0 ? (uint64_t)((double)run.made * 1e6 / run.rate) : 0);
}

static void send_next(void) {
    uint64_t most = options.batch ? (uint64_t)options.batch : 1;
    uint64_t count = run.count - run.made < most ? run.count - run.made : most;
    if (connection.fd < 0)
        connect_again();
    if (connection.fd < 0)
        return;
    send_events(run.before + run.made + 1, count);
    run.made += count;
}

static void answered(void) {
    bool good = connection.http.status >= 200 && connection.http.status < 300;
    *(good ? &run.published : &run.failed) += run.in_flight;
    run.in_flight = 0;
    run.finished = now_us();
    connection.answers++;
    connection.answering = false;
    if (connection.http.close)
        disconnect();
    else
        http_begin(&connection.http, false);
}

static void on_head(void) {
    const struct http *http = &connection.http;
    if (http->status >= 300 && !run.failed) {
        explain(http->head, strcspn(http->head, "\r\n"));
        explain(": ", 2);
    }
}

static void on_answer(struct bytes input) {
    struct http *http = &connection.http;
    struct bytes body;
    for (;;) {
        switch (http_next(http, &input, &body)) {
        case HTTP_HEAD:
            connection.answering = true;
            on_head();
            break;
        case HTTP_DATA:
            if (http->status >= 300 && !run.failed)
                explain(body.data, body.len);
            break;
        case HTTP_END:
            if (http->status < 200) {
                http_begin(http, false); /* after an interim response comes the real one */
                break;
            }
            answered();
            return;
        case HTTP_MORE:
            return;
        case HTTP_ERROR:
            give_up("the answer is not HTTP");
            return;
        }
    }
}

/* A server may close a connection that it kept alive, and its close can cross our request: that one is sent again. */
static void on_close(const char *why) {
    uint64_t count = run.in_flight;
    if (connection.answering && http_eof(&connection.http) == HTTP_END) {
        answered();
        disconnect();
        return;
    }
    bool again = count && connection.answers && !connection.answering;
    disconnect();
    if (again) {
        connect_again();
        if (connection.fd < 0)
            return;
        run.retried += count;
        send_events(run.before + run.made - count + 1, count);
    } else if (count) {
        give_up(why);
    }
}

static void on_readable(void) {
    static char buffer[65536];
    ssize_t count = recv(connection.fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0)
        on_close(count ? strerror(errno) : "closed before it was answered");
    else if (run.in_flight)
        on_answer((struct bytes){buffer, (size_t)count});
    else
        disconnect(); /* an answer to no request */
}

static void start(double rate, uint64_t count) {
    uint64_t before = run.before + run.count;
    memset(&run, 0, sizeof run);
    run.before = before;
    run.rate = rate;
    run.count = count;
    run.started = run.finished = now_us();
    puts("{\"ok\":true}");
}

static void command(const char *line) {
    double rate = options.rate, seconds;
    long long count;
    bool busy = run.published + run.failed < run.count;
    if (!strcmp(line, "quit"))
        exit(0);
    bool starts = sscanf(line, "start %lf %lld", &rate, &count) == 2;
    if (!starts && sscanf(line, "start %lld", &count) == 1) {
        rate = options.rate;
        starts = true;
    }
    if (starts && rate >= 0 && count > 0 && busy)
        puts("{\"error\":\"the last start is not done\"}");
    else if (starts && rate >= 0 && count > 0)
        start(rate, (uint64_t)count);
    else if (sscanf(line, "done %lf", &seconds) == 1 && seconds >= 0 && seconds < 1e6)
        done_by = now_us() + (uint64_t)(seconds * 1e6) + 1;
    else
        puts("{\"error\":\"commands are: start [RATE] COUNT, done SECONDS, quit\"}");
    fflush(stdout);
}

static void answer_done(void) {
    bool busy = run.published + run.failed < run.count;
    if (!done_by || (busy && now_us() < done_by))
        return;
    printf("{\"published\":%llu,\"failed\":%llu,\"retried\":%llu,\"seconds\":%.6f", (unsigned long long)run.published,
           (unsigned long long)run.failed, (unsigned long long)run.retried,
           (double)((busy ? now_us() : run.finished) - run.started) / 1e6);
    if (run.error_len) {
        fputs(",\"error\":", stdout);
        print_json_text(stdout, run.error, run.error_len);
    }
    puts("}");
    fflush(stdout);
    done_by = 0;
}

/* Carries out commands until one has to wait. */
static void obey(void) {
    char line[256];
    answer_done();
    while (!done_by) {
        if (lines_next(&lines, line))
            command(line);
        else if (lines.ended)
            exit(0); /* whoever started this program is gone */
        else
            return;
        answer_done();
    }
}

static void turn(void) {
    struct pollfd polled[2] = {
        {.fd = lines.ended || lines_full(&lines) ? -1 : STDIN_FILENO, .events = POLLIN},
        {.fd = connection.fd, .events = (short)(POLLIN | (connection.sending.len ? POLLOUT : 0))},
    };
    bool more = run.made < run.count && !run.in_flight;
    uint64_t due = more ? next_due() : UINT64_MAX, now = now_us();
    if (done_by && done_by < due)
        due = done_by;
    uint64_t left = due > now ? due - now : 0;
    struct timespec wait = {(time_t)(left / 1000000), (long)(left % 1000000) * 1000};
    if (ppoll(polled, 2, due == UINT64_MAX ? NULL : &wait, NULL) < 0 && errno != EINTR)
        fatal("ppoll");
    if (polled[0].revents)
        lines_read(&lines, STDIN_FILENO);
    if (polled[1].revents == POLLOUT)
        flush();
    if (polled[1].revents & (POLLIN | POLLHUP | POLLERR))
        on_readable();
    if (run.made < run.count && !run.in_flight && next_due() <= now_us())
        send_next();
    obey();
}

int publish_run(const struct publish_options *given) {
    options = *given;
    lines_open(STDIN_FILENO);
    for (;;)
        turn();
}
