/* Where a watcher of an SSE stream stands: what it would send to go on after the last event it was given. */
#ifndef POSITION_H
#define POSITION_H

#include "net.h"

enum resume {
    RESUME_NOTHING,
    RESUME_LAST_EVENT_ID, /* the last `id:`, sent back as Last-Event-ID */
    RESUME_DURABLE,       /* the last `"streamNextOffset":"…"`, sent back as offset=… */
};

/* Longer positions and lines are not remembered. */
#define POSITION_LIMIT 128
#define POSITION_LINE_LIMIT 512

struct position {
    enum resume kind;
    bool has_next, too_long;
    uint16_t line_len;
    char line[POSITION_LINE_LIMIT]; /* the beginning of a line that has not ended */
    char next[POSITION_LIMIT];      /* of the event that has not ended */
    char last[POSITION_LIMIT];      /* of the last event that has; empty at first */
};

/* Reads a part of the body. An event counts when its empty line is there, as in a browser: gives the offset after
 * the last one that brought a position, or 0. */
size_t position_read(struct position *position, struct bytes part);

/* Forgets an event that has not ended: a new connection begins. */
void position_restart(struct position *position);

#endif
