/* Commands: lines of stdin, which an epoll loop reads when there are some. */
#ifndef LINES_H
#define LINES_H

#include <stdbool.h>
#include <stddef.h>

struct lines {
    char held[4096];
    size_t len;
    bool ended; /* nothing more will come */
};

/* Reads what there is, without blocking. A full buffer is left to fill the pipe; see lines_full. */
void lines_read(struct lines *lines, int fd);

/* Whether nothing can be read before a line is taken: stop polling until then. */
bool lines_full(const struct lines *lines);

/* Takes the next whole line (the last one needs no newline) into `line`; false when there is none. */
bool lines_next(struct lines *lines, char line[256]);

/* Makes `fd` non-blocking. */
void lines_open(int fd);

#endif
