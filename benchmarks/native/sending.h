/* Bytes on their way out of a non-blocking socket. */
#ifndef SENDING_H
#define SENDING_H

#include "net.h"

/* More than this never waits: a server that sends pings and reads no pongs loses the connection. */
#define SENDING_LIMIT (4 << 20)

struct sending {
    char *data;
    size_t len, sent;
};

/* Room for `len` more bytes, to be filled at once; NULL when too many are waiting. */
char *sending_room(struct sending *sending, size_t len);

/* Sends what can be sent: 1 when all is out, 0 when the socket is full, -1 with errno when it is broken. */
int sending_flush(struct sending *sending, int fd);

void sending_clear(struct sending *sending);

#endif
