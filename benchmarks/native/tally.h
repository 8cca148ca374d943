/* What the watchers have received since `measure`, and the JSON of it. */
#ifndef TALLY_H
#define TALLY_H

#include "histogram.h"
#include "net.h"

struct tally {
    uint64_t begun;    /* µs */
    double cpu_before; /* seconds */
    uint64_t deliveries, reads, bytes;
    uint64_t gaps, duplicates, disconnected, ended;
    uint64_t min_seq, max_seq;
    uint64_t slow_deliveries, slow_disconnected, stalled_disconnected;
    struct histogram latency;
};

/* Begins to measure. */
void tally_begin(struct tally *tally);

/* One event that a good watcher received at `now`. `last` is the seq before it, or 0: gives the one after it. */
uint64_t tally_event(struct tally *tally, uint64_t last, uint64_t seq, uint64_t micros, uint64_t now);

void tally_print(const struct tally *tally);

#endif
