/* `load watch`: many watchers in one thread, and the commands that drive them. */
#ifndef WATCH_H
#define WATCH_H

#include "request.h"
#include "tally.h"
#include "watcher.h"

#define MOST_HELLOS 16

/* What the command line says. */
struct watch_options {
    struct request request;
    int watchers, window, connect_seconds;
    int stalled, slow, slow_rate;
    struct bytes hellos[MOST_HELLOS];
    int hello_count, greetings;
    bool hello_binary, engineio;
    enum resume resume;
};

/* Connecting all watchers, a window of them at a time. */
struct connecting {
    bool active;
    int next, pending, connected, failed;
    uint64_t begun, deadline;
    struct histogram times;
    char error[320]; /* what the first failure was */
    size_t error_len;
    const struct watcher *explains; /* the watcher whose answer `error` is made of */
};

struct watch {
    struct watch_options options;
    int poll;
    struct watcher *watchers; /* the good ones, then the slow ones, then the stalled ones */
    int good;
    struct tally tally;
    struct connecting connecting;
    int open_good;         /* good watchers whose response goes on */
    uint64_t wanted;       /* `wait`: the seq; 0 when nobody waits */
    int below;             /* good, open, and not yet there */
};

/* Runs until stdin ends or says quit. */
int watch_run(const struct watch_options *options);

/* connecting.c: begins with watcher 0; afresh, or from the positions of those that are not connected. */
void connecting_begin(struct watch *watch, bool resume);
/* Opens what the window allows; true when all have answered, or the time is up. */
bool connecting_done(struct watch *watch);
void connecting_print(const struct watch *watch);
/* A watcher is connected, or will not be. */
void connecting_succeeded(struct watch *watch, struct watcher *watcher);
void connecting_failed(struct watch *watch, struct watcher *watcher, const char *why);

#endif
