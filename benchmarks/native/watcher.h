/* One connection of the load client. */
#ifndef WATCHER_H
#define WATCHER_H

#include "http.h"
#include "marker.h"
#include "position.h"
#include "sending.h"
#include "websocket.h"

struct watch;

enum phase {
    CLOSED,     /* not opened, failed, or cut */
    CONNECTING, /* the request is not out, or not answered */
    REFUSED,    /* answered by an error, whose body is being read */
    GREETING,   /* upgraded; the server's first messages have not come */
    OPEN,
    ENDED, /* the response ended as it should */
    LOST,  /* it did not */
};

enum kind { GOOD, SLOW, STALLED };

struct watcher {
    int fd; /* -1: none */
    uint8_t phase, kind;
    int greetings; /* messages before it is open */
    struct http http;
    struct websocket *websocket; /* of its own when the transport is that */
    struct sending sending;
    struct marker marker;
    uint64_t last;          /* the last seq seen; 0 before the first */
    uint64_t last_complete; /* the last seq of which the position knows */
    struct position *position;
    uint64_t begun, allowance_at; /* µs */
};

/* Whether it has a connection that was settled and goes on. */
static inline bool watcher_is_open(const struct watcher *watcher) { return watcher->phase == OPEN; }

/* Connects and sends the request. */
void watcher_open(struct watch *watch, struct watcher *watcher);

/* What epoll says about it. */
void watcher_ready(struct watch *watch, struct watcher *watcher, uint32_t events);

/* Takes off the socket of a slow watcher what its rate allows. */
void watcher_sip(struct watch *watch, struct watcher *watcher);

/* Gives the connection up, with a reset when `reset`; the watcher keeps where it stands. */
void watcher_close(struct watch *watch, struct watcher *watcher, enum phase phase, bool reset);

/* Forgets where it stands. */
void watcher_forget(struct watcher *watcher);

#endif
