/* The requests that the load client makes. */
#ifndef REQUEST_H
#define REQUEST_H

#include "position.h"
#include "sending.h"

#define MOST_HEADERS 32

struct request {
    const char *host;
    int port;
    const char *method, *path;
    const char *headers[MOST_HEADERS]; /* `Name: value` */
    int header_count;
    bool websocket;
    const char *subprotocol;
    struct bytes body;
};

/* Adds the whole request to `sending`. `{n}` in the path and the body becomes `number`; `position` may be NULL. */
void request_write(const struct request *request, int number, const struct position *position, struct sending *sending);

/* Reads a file whole, for a body. */
struct bytes read_file(const char *path);

/* A copy with `{n}` replaced; to be freed. */
struct bytes numbered(struct bytes text, int number);

#endif
