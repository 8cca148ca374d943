#include <string.h>

#include "watch.h"

static int watcher_count(const struct watch *watch) { return watch->options.watchers; }

void connecting_begin(struct watch *watch, bool resume) {
    struct connecting *connecting = &watch->connecting;
    for (int i = 0; i < watcher_count(watch); i++) {
        struct watcher *watcher = &watch->watchers[i];
        if (resume && watcher_is_open(watcher))
            continue;
        watcher_close(watch, watcher, CLOSED, false);
        if (!resume)
            watcher_forget(watcher);
    }
    *connecting = (struct connecting){.active = true, .begun = now_us()};
    connecting->deadline = connecting->begun + (uint64_t)watch->options.connect_seconds * 1000000;
}

static void open_more(struct watch *watch) {
    struct connecting *connecting = &watch->connecting;
    while (connecting->pending < watch->options.window && connecting->next < watcher_count(watch)) {
        struct watcher *watcher = &watch->watchers[connecting->next++];
        if (watcher_is_open(watcher))
            continue; /* nothing to resume */
        connecting->pending++;
        watcher_open(watch, watcher);
    }
}

static void give_up(struct watch *watch) {
    struct connecting *connecting = &watch->connecting;
    for (int i = 0; i < watcher_count(watch); i++) {
        struct watcher *watcher = &watch->watchers[i];
        if (watcher->phase == CONNECTING || watcher->phase == REFUSED || watcher->phase == GREETING)
            connecting_failed(watch, watcher, "no answer in time");
        else if (i >= connecting->next && !watcher_is_open(watcher))
            connecting->failed++; /* its turn never came */
    }
    connecting->next = watcher_count(watch);
}

bool connecting_done(struct watch *watch) {
    struct connecting *connecting = &watch->connecting;
    open_more(watch);
    if (now_us() >= connecting->deadline)
        give_up(watch);
    connecting->active = connecting->pending || connecting->next < watcher_count(watch);
    return !connecting->active;
}

void connecting_succeeded(struct watch *watch, struct watcher *watcher) {
    watch->connecting.pending--;
    watch->connecting.connected++;
    histogram_add(&watch->connecting.times, now_us() - watcher->begun);
}

void connecting_failed(struct watch *watch, struct watcher *watcher, const char *why) {
    struct connecting *connecting = &watch->connecting;
    connecting->pending--;
    connecting->failed++;
    if (!connecting->error_len) {
        connecting->error_len = strnlen(why, sizeof connecting->error);
        memcpy(connecting->error, why, connecting->error_len);
    }
    watcher_close(watch, watcher, CLOSED, false);
}

void connecting_print(const struct watch *watch) {
    const struct connecting *connecting = &watch->connecting;
    printf("{\"connected\":%d,\"failed\":%d,\"seconds\":%.6f", connecting->connected, connecting->failed,
           (double)(now_us() - connecting->begun) / 1e6);
    printf(",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f", histogram_quantile(&connecting->times, 0.5) / 1e3,
           histogram_quantile(&connecting->times, 0.99) / 1e3, (double)connecting->times.max / 1e3);
    if (connecting->failed) {
        fputs(",\"error\":", stdout);
        print_json_text(stdout, connecting->error, connecting->error_len);
    }
    puts("}");
    fflush(stdout);
}
