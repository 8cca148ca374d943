#include "watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lines.h"

#define EVENTS 64
#define SIP_US 100000 /* between two reads of a slow watcher */

/* The command that is not answered yet. */
enum waiting { NOTHING, CONNECTED, REACHED, ALL_ENDED };

static struct watch watch;
static struct lines lines;
static enum waiting waiting;
static uint64_t waiting_since, waiting_until, sip_due;
static bool stdin_polled;

static void say(const char *json) {
    puts(json);
    fflush(stdout);
}

static void cut_all(void) {
    int cut = 0;
    for (int i = 0; i < watch.options.watchers; i++) {
        if (!watcher_is_open(&watch.watchers[i]))
            continue;
        watcher_close(&watch, &watch.watchers[i], CLOSED, true);
        cut++;
    }
    printf("{\"cut\":%d}\n", cut);
    fflush(stdout);
}

static void await_seq(uint64_t seq) {
    watch.wanted = seq;
    watch.below = 0;
    for (int i = 0; i < watch.good; i++)
        watch.below += watcher_is_open(&watch.watchers[i]) && watch.watchers[i].last < seq;
}

static void await(enum waiting what, double seconds) {
    waiting = what;
    waiting_since = now_us();
    waiting_until = waiting_since + (uint64_t)(seconds * 1e6);
}

static void command(const char *line) {
    unsigned long long seq;
    double seconds;
    if (!strcmp(line, "quit"))
        exit(0);
    if (!strcmp(line, "measure")) {
        tally_begin(&watch.tally);
        say("{\"ok\":true}");
    } else if (!strcmp(line, "report")) {
        tally_print(&watch.tally);
    } else if (!strcmp(line, "cut")) {
        cut_all();
    } else if (!strcmp(line, "connect") || !strcmp(line, "resume")) {
        connecting_begin(&watch, *line == 'r');
        waiting = CONNECTED;
    } else if (sscanf(line, "wait %llu %lf", &seq, &seconds) == 2 && seq && seconds >= 0 && seconds < 1e6) {
        await_seq(seq);
        await(REACHED, seconds);
    } else if (sscanf(line, "ended %lf", &seconds) == 1 && seconds >= 0 && seconds < 1e6) {
        await(ALL_ENDED, seconds);
    } else {
        say("{\"error\":\"commands are: connect, measure, report, wait SEQ SECONDS, ended SECONDS, cut, resume, quit\"}");
    }
}

/* Good watchers that are where `waiting` wants them. */
static int arrived(void) {
    int count = 0;
    for (int i = 0; i < watch.good; i++) {
        const struct watcher *watcher = &watch.watchers[i];
        count += waiting == REACHED ? watcher->last >= watch.wanted : watcher->phase == ENDED;
    }
    return count;
}

/* Answers the waiting command when that can be done; false when it still waits. */
static bool settle(void) {
    if (waiting == NOTHING)
        return true;
    if (waiting == CONNECTED) {
        if (!connecting_done(&watch))
            return false;
        connecting_print(&watch);
    } else {
        int missing = waiting == REACHED ? watch.below : watch.open_good;
        if (missing && now_us() < waiting_until)
            return false;
        int count = arrived();
        printf("{\"%s\":%d,\"missing\":%d,\"seconds\":%.6f}\n", waiting == REACHED ? "reached" : "ended", count,
               watch.good - count, (double)(now_us() - waiting_since) / 1e6);
        fflush(stdout);
        watch.wanted = 0;
    }
    waiting = NOTHING;
    return true;
}

/* Carries out commands until one has to wait. */
static void obey(void) {
    char line[256];
    while (settle()) {
        if (lines_next(&lines, line))
            command(line);
        else if (lines.ended)
            exit(0); /* whoever started this program is gone */
        else
            return;
    }
}

static void poll_stdin(void) {
    bool wanted = !lines.ended && !lines_full(&lines);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (wanted == stdin_polled)
        return;
    if (epoll_ctl(watch.poll, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, STDIN_FILENO, &event))
        fatal("stdin must be a pipe");
    stdin_polled = wanted;
}

static void sip_all(uint64_t now) {
    for (int i = watch.good; i < watch.good + watch.options.slow; i++)
        if (watcher_is_open(&watch.watchers[i]))
            watcher_sip(&watch, &watch.watchers[i]);
    sip_due = now + SIP_US;
}

/* Milliseconds until something is due; -1 when nothing is. */
static int time_left(uint64_t now) {
    uint64_t due = UINT64_MAX;
    if (watch.options.slow)
        due = sip_due;
    if (waiting == CONNECTED && watch.connecting.deadline < due)
        due = watch.connecting.deadline;
    if ((waiting == REACHED || waiting == ALL_ENDED) && waiting_until < due)
        due = waiting_until;
    if (due == UINT64_MAX)
        return -1;
    return due <= now ? 0 : (int)((due - now + 999) / 1000);
}

static void turn(void) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(watch.poll, events, EVENTS, time_left(now_us()));
    if (count < 0 && errno != EINTR)
        fatal("epoll_wait");
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            watcher_ready(&watch, events[i].data.ptr, events[i].events);
        else
            lines_read(&lines, STDIN_FILENO);
    }
    if (watch.options.slow) {
        uint64_t now = now_us();
        if (now >= sip_due)
            sip_all(now);
    }
    /* After the batch: a command may close what the batch speaks of. */
    obey();
    poll_stdin();
}

static void make_watchers(void) {
    const struct watch_options *options = &watch.options;
    watch.good = options->watchers - options->slow - options->stalled;
    watch.watchers = need(calloc((size_t)options->watchers, sizeof *watch.watchers));
    for (int i = 0; i < options->watchers; i++) {
        struct watcher *watcher = &watch.watchers[i];
        watcher->fd = -1;
        watcher->kind = i < watch.good ? GOOD : i < watch.good + options->slow ? SLOW : STALLED;
        if (options->request.websocket)
            watcher->websocket = need(calloc(1, sizeof *watcher->websocket));
        if (options->resume != RESUME_NOTHING) {
            watcher->position = need(calloc(1, sizeof *watcher->position));
            watcher->position->kind = options->resume;
        }
    }
}

int watch_run(const struct watch_options *options) {
    watch.options = *options;
    make_watchers();
    tally_begin(&watch.tally);
    watch.poll = epoll_create1(EPOLL_CLOEXEC);
    if (watch.poll < 0)
        fatal("epoll_create1");
    lines_open(STDIN_FILENO);
    poll_stdin();
    for (;;)
        turn();
}
