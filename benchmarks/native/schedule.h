/* Who is due next: a heap of descriptors by the time of their next event. */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <stdint.h>

struct schedule {
    struct due {
        uint64_t at; /* µs */
        int fd;
    } *heap;
    int count;
    int *places; /* by descriptor: 1 + the place in the heap, 0 when it is not there */
};

/* For descriptors below `most`. */
void schedule_open(struct schedule *schedule, int most);
void schedule_add(struct schedule *schedule, int fd, uint64_t at);
/* Nothing happens when it is not there. */
void schedule_remove(struct schedule *schedule, int fd);

#endif
