#include "schedule.h"

#include <stdlib.h>

#include "net.h"

void schedule_open(struct schedule *schedule, int most) {
    schedule->heap = need(calloc((size_t)most, sizeof *schedule->heap));
    schedule->places = need(calloc((size_t)most, sizeof *schedule->places));
    schedule->count = 0;
}

static void put(struct schedule *schedule, int place, struct due due) {
    schedule->heap[place] = due;
    schedule->places[due.fd] = place + 1;
}

/* Puts `due` at `place` or above it. */
static void rise(struct schedule *schedule, int place, struct due due) {
    while (place > 0 && schedule->heap[(place - 1) / 2].at > due.at) {
        put(schedule, place, schedule->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(schedule, place, due);
}

/* Puts `due` at `place` or below it. */
static void sink(struct schedule *schedule, int place, struct due due) {
    for (;;) {
        int child = 2 * place + 1;
        if (child + 1 < schedule->count && schedule->heap[child + 1].at < schedule->heap[child].at)
            child++;
        if (child >= schedule->count || schedule->heap[child].at >= due.at)
            break;
        put(schedule, place, schedule->heap[child]);
        place = child;
    }
    put(schedule, place, due);
}

void schedule_add(struct schedule *schedule, int fd, uint64_t at) {
    rise(schedule, schedule->count++, (struct due){at, fd});
}

void schedule_remove(struct schedule *schedule, int fd) {
    int place = schedule->places[fd] - 1;
    if (place < 0)
        return;
    struct due last = schedule->heap[--schedule->count];
    uint64_t removed = schedule->heap[place].at;
    schedule->places[fd] = 0;
    if (last.fd == fd)
        return;
    if (last.at < removed)
        rise(schedule, place, last);
    else
        sink(schedule, place, last);
}
