#define _GNU_SOURCE
#include "watcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "watch.h"

/* All connections read into this one. */
static char buffer[256 * 1024];

/* A slow or stalled watcher takes no more than this at a time, and has no larger buffer in the kernel. */
#define SMALL 8192

/* One read of one watcher. */
struct reading {
    struct watch *watch;
    struct watcher *watcher;
    uint64_t now;
    bool counted;
};

/* Edges: with levels the kernel would look again at each socket that was just emptied. */
#define EDGES (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static void poll_for(struct watch *watch, struct watcher *watcher, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = watcher};
    if (epoll_ctl(watch->poll, operation, watcher->fd, &event))
        fatal("epoll_ctl");
}

void watcher_open(struct watch *watch, struct watcher *watcher) {
    const struct watch_options *options = &watch->options;
    int number = (int)(watcher - watch->watchers);
    watcher->begun = now_us();
    watcher->phase = CONNECTING;
    watcher->marker = (struct marker){0};
    if (watcher->websocket)
        *watcher->websocket = (struct websocket){0};
    if (watcher->position)
        position_restart(watcher->position);
    http_begin(&watcher->http, false);
    watcher->fd =
        connect_to(options->request.host, options->request.port, watcher->kind == GOOD ? 0 : SMALL);
    if (watcher->fd < 0) {
        connecting_failed(watch, watcher, strerror(errno));
        return;
    }
    request_write(&options->request, number, watcher->position, &watcher->sending);
    poll_for(watch, watcher, EPOLL_CTL_ADD, EDGES);
}

void watcher_forget(struct watcher *watcher) {
    watcher->last = watcher->last_complete = 0;
    if (watcher->position)
        *watcher->position->last = '\0';
}

/* What was seen of an event that had not ended when the connection did will come again, and rightly so. */
static void step_back(struct watcher *watcher) {
    if (watcher->position && *watcher->position->last)
        watcher->last = watcher->last_complete;
}

void watcher_close(struct watch *watch, struct watcher *watcher, enum phase phase, bool reset) {
    struct tally *tally = &watch->tally;
    if (watcher_is_open(watcher) && watcher->kind == GOOD) {
        watch->open_good--;
        watch->below -= watch->wanted && watcher->last < watch->wanted;
        tally->ended += phase == ENDED;
        tally->disconnected += phase == LOST;
    } else if (watcher_is_open(watcher) && phase == LOST) {
        tally->slow_disconnected += watcher->kind == SLOW;
        tally->stalled_disconnected += watcher->kind == STALLED;
    }
    if (watcher->fd >= 0) {
        struct linger at_once = {.l_onoff = 1};
        if (reset)
            setsockopt(watcher->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(watcher->fd);
    }
    watcher->fd = -1;
    watcher->phase = (uint8_t)phase;
    sending_clear(&watcher->sending);
    http_free(&watcher->http);
    step_back(watcher);
}

/* The end of a connection, as its phase makes it. */
static void finish(struct watch *watch, struct watcher *watcher, bool clean, const char *why) {
    if (watcher_is_open(watcher))
        watcher_close(watch, watcher, clean ? ENDED : LOST, false);
    else
        connecting_failed(watch, watcher, why);
}

static void become_open(struct watch *watch, struct watcher *watcher) {
    watcher->phase = OPEN;
    if (watcher->kind == GOOD) {
        watch->open_good++;
    } else if (watcher->kind == SLOW) {
        poll_for(watch, watcher, EPOLL_CTL_DEL, 0); /* read by the clock from here on */
        watcher->allowance_at = now_us();
    } else {
        poll_for(watch, watcher, EPOLL_CTL_MOD, EPOLLRDHUP); /* only to see when the server has had enough of it */
    }
    connecting_succeeded(watch, watcher);
}

/* Sends what is waiting. What fails here fails again when reading, with a better reason: maybe an answer. */
static void flush(struct watcher *watcher) {
    if (sending_flush(&watcher->sending, watcher->fd) < 0)
        sending_clear(&watcher->sending);
}

static bool send_frame(struct watcher *watcher, int opcode, struct bytes payload) {
    char *room = sending_room(&watcher->sending, payload.len + WEBSOCKET_FRAME_EXTRA);
    if (!room)
        return false;
    size_t written = websocket_frame(room, opcode, payload);
    watcher->sending.len -= payload.len + WEBSOCKET_FRAME_EXTRA - written;
    flush(watcher);
    return true;
}

static void send_hellos(struct watch *watch, struct watcher *watcher) {
    const struct watch_options *options = &watch->options;
    for (int i = 0; i < options->hello_count; i++) {
        struct bytes hello = numbered(options->hellos[i], (int)(watcher - watch->watchers));
        send_frame(watcher, options->hello_binary ? OPCODE_BINARY : OPCODE_TEXT, hello);
        free((char *)hello.data);
    }
}

static void marker_found(void *context, uint64_t seq, uint64_t micros) {
    struct reading *reading = context;
    struct watch *watch = reading->watch;
    struct watcher *watcher = reading->watcher;
    if (watcher->kind != GOOD) {
        watch->tally.slow_deliveries++;
        return;
    }
    uint64_t last = watcher->last;
    watcher->last = tally_event(&watch->tally, last, seq, micros, reading->now);
    watch->below -= watcher_is_open(watcher) && last < watch->wanted && watcher->last >= watch->wanted;
}

/* A part of the decoded stream. */
static void on_data(struct reading *reading, struct bytes part) {
    struct watcher *watcher = reading->watcher;
    reading->counted = true;
    if (watcher->position) {
        size_t complete = position_read(watcher->position, part);
        if (complete) {
            marker_scan(&watcher->marker, part.data, complete, marker_found, reading);
            watcher->last_complete = watcher->last;
            part.data += complete;
            part.len -= complete;
        }
    }
    marker_scan(&watcher->marker, part.data, part.len, marker_found, reading);
}

static void on_head(struct watch *watch, struct watcher *watcher) {
    const struct http *http = &watcher->http;
    struct connecting *connecting = &watch->connecting;
    int wanted = watcher->websocket ? 101 : 200;
    if (http->status < 200 && http->status != wanted)
        return; /* an interim response */
    if (http->status != wanted) {
        watcher->phase = REFUSED;
        if (!connecting->error_len) {
            size_t line = strcspn(http->head, "\r\n");
            connecting->explains = watcher;
            connecting->error_len = line < 100 ? line : 100;
            memcpy(connecting->error, http->head, connecting->error_len);
            connecting->error_len += (size_t)sprintf(connecting->error + connecting->error_len, ": ");
        }
        return;
    }
    if (!watcher->websocket) {
        become_open(watch, watcher);
        return;
    }
    watcher->phase = GREETING;
    watcher->greetings = watch->options.greetings;
    if (!watch->options.engineio)
        send_hellos(watch, watcher);
    if (!watcher->greetings)
        become_open(watch, watcher);
}

/* Keeps the beginning of an error's body; true when there is enough of it. */
static bool explain(struct connecting *connecting, const struct watcher *watcher, struct bytes body) {
    if (connecting->explains != watcher)
        return true; /* one explanation is enough */
    size_t room = sizeof connecting->error - connecting->error_len;
    size_t len = body.len < room ? body.len : room;
    memcpy(connecting->error + connecting->error_len, body.data, len);
    connecting->error_len += len;
    return len == room;
}

static void on_message(struct watch *watch, struct watcher *watcher) {
    const struct websocket *websocket = watcher->websocket;
    const struct watch_options *options = &watch->options;
    if (options->engineio && websocket->opcode == OPCODE_TEXT && websocket->length == 1 && websocket->first == '2') {
        send_frame(watcher, OPCODE_TEXT, (struct bytes){"3", 1});
        return;
    }
    if (watcher->phase != GREETING)
        return;
    if (options->engineio && watcher->greetings == options->greetings)
        send_hellos(watch, watcher);
    if (!--watcher->greetings)
        become_open(watch, watcher);
}

static void receive_frames(struct reading *reading, struct bytes input) {
    struct watch *watch = reading->watch;
    struct watcher *watcher = reading->watcher;
    struct bytes payload;
    for (;;) {
        switch (websocket_next(watcher->websocket, &input, &payload)) {
        case WEBSOCKET_DATA:
            on_data(reading, payload);
            break;
        case WEBSOCKET_MESSAGE:
            on_message(watch, watcher);
            break;
        case WEBSOCKET_PING:
            if (!send_frame(watcher, OPCODE_PONG, payload)) {
                finish(watch, watcher, false, "the server sends pings and reads no pongs");
                return;
            }
            break;
        case WEBSOCKET_CLOSE:
            send_frame(watcher, OPCODE_CLOSE, payload);
            finish(watch, watcher, true, "the WebSocket was closed before the first message");
            return;
        case WEBSOCKET_ERROR:
            finish(watch, watcher, false, "the server broke the WebSocket protocol");
            return;
        case WEBSOCKET_MORE:
            return;
        }
    }
}

static void receive(struct reading *reading, struct bytes input) {
    struct watch *watch = reading->watch;
    struct watcher *watcher = reading->watcher;
    struct bytes body;
    if (watcher->phase == GREETING || (watcher->websocket && watcher_is_open(watcher))) {
        receive_frames(reading, input);
        return;
    }
    for (;;) {
        switch (http_next(&watcher->http, &input, &body)) {
        case HTTP_HEAD:
            on_head(watch, watcher);
            if (watcher->websocket && watcher->phase != CONNECTING && watcher->phase != REFUSED) {
                http_free(&watcher->http);
                receive_frames(reading, input);
                return;
            }
            break;
        case HTTP_DATA:
            if (watcher->phase != REFUSED) {
                on_data(reading, body);
            } else if (explain(&watch->connecting, watcher, body)) {
                connecting_failed(watch, watcher, "refused");
                return;
            }
            break;
        case HTTP_END:
            if (watcher->phase != CONNECTING) {
                finish(watch, watcher, true, "refused");
                return;
            }
            http_begin(&watcher->http, false); /* after an interim response comes the real one */
            break;
        case HTTP_ERROR:
            finish(watch, watcher, false, "the answer is not HTTP");
            return;
        case HTTP_MORE:
            return;
        }
    }
}

static void at_end(struct watch *watch, struct watcher *watcher) {
    bool clean = !watcher->websocket && http_eof(&watcher->http) == HTTP_END;
    finish(watch, watcher, clean, watcher->phase == REFUSED ? "refused" : "closed before it was answered");
}

enum got { GOT_NOTHING, GOT_SOME, GOT_FULL };

static enum got read_some(struct watch *watch, struct watcher *watcher, size_t most) {
    ssize_t count = recv(watcher->fd, buffer, most, MSG_DONTWAIT);
    if (count > 0) {
        /* The clock after the read, so that no event is younger than it. */
        struct reading reading = {watch, watcher, now_us(), false};
        receive(&reading, (struct bytes){buffer, (size_t)count});
        if (reading.counted && watcher->kind == GOOD) {
            watch->tally.reads++;
            watch->tally.bytes += (uint64_t)count;
        }
        return (size_t)count == most ? GOT_FULL : GOT_SOME;
    }
    if (count == 0)
        at_end(watch, watcher);
    else if (errno != EAGAIN)
        finish(watch, watcher, false, strerror(errno));
    return GOT_NOTHING;
}

void watcher_ready(struct watch *watch, struct watcher *watcher, uint32_t events) {
    bool good = watcher->kind == GOOD;
    bool to_end = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (watcher->kind == STALLED && watcher_is_open(watcher)) {
        watcher_close(watch, watcher, LOST, false);
        return;
    }
    if (watcher->sending.len && !to_end)
        flush(watcher);
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    for (;;) {
        enum got got = read_some(watch, watcher, good ? sizeof buffer : SMALL);
        /* What was not full has emptied the socket; only an end that came with the data is still to be seen. */
        if (got == GOT_NOTHING || (got == GOT_SOME && !to_end) || watcher->fd < 0)
            return;
        if (!good && watcher_is_open(watcher))
            return;
    }
}

void watcher_sip(struct watch *watch, struct watcher *watcher) {
    uint64_t now = now_us();
    uint64_t allowance = (now - watcher->allowance_at) * (uint64_t)watch->options.slow_rate / 1000000;
    if (!allowance)
        return;
    watcher->allowance_at = now;
    read_some(watch, watcher, allowance < SMALL ? allowance : SMALL);
}
