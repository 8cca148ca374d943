/* HTTP/1 messages, requests and responses, decoded from bytes that may be cut anywhere. */
#ifndef HTTP_H
#define HTTP_H

#include "net.h"

/* A longer head is an error. */
#define HTTP_HEAD_LIMIT 16384

enum http_event {
    HTTP_MORE,  /* all input is used */
    HTTP_HEAD,  /* the head is complete: the fields below and http->head are valid until the next call */
    HTTP_DATA,  /* `body` is a part of the body, in the input's memory */
    HTTP_END,   /* the message is complete; what follows is another one */
    HTTP_ERROR, /* not HTTP: give up */
};

struct http {
    uint8_t state;
    bool is_request;
    bool version_1_0;
    bool close;      /* the connection ends with this message */
    uint16_t status; /* of a response */
    uint32_t head_len;
    char *head; /* allocated while it is being read, and given back with the next call */
    uint64_t left;
};

void http_begin(struct http *http, bool is_request);
void http_free(struct http *http);

/* Takes bytes off the front of `input` up to the next event. */
enum http_event http_next(struct http *http, struct bytes *input, struct bytes *body);

/* What the end of the connection means: HTTP_END when it is the proper end of this message, else HTTP_ERROR. */
enum http_event http_eof(const struct http *http);

/* The value of a header of the head that was just read; false when it has none. */
bool http_header(const struct http *http, const char *name, struct bytes *value);

/* Whether a header's comma-separated list has `token`, in any case of letters. */
bool http_header_has(const struct http *http, const char *name, const char *token);

#endif
