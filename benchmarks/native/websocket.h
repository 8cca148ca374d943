/* WebSocket frames (RFC 6455 §5) as a client sees them: decoded from bytes that may be cut anywhere, and written. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include "net.h"

enum websocket_event {
    WEBSOCKET_MORE,    /* all input is used */
    WEBSOCKET_DATA,    /* `payload` is a part of a message, in the input's memory */
    WEBSOCKET_MESSAGE, /* a message is complete: `opcode`, `length`, `first` */
    WEBSOCKET_PING,    /* `payload` is what the pong must carry; valid until the next call */
    WEBSOCKET_CLOSE,   /* likewise */
    WEBSOCKET_ERROR,   /* not what a server may send: give up */
};

enum { OPCODE_CONTINUATION = 0, OPCODE_TEXT = 1, OPCODE_BINARY = 2, OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10 };

struct websocket {
    uint64_t left;   /* bytes of this frame's payload that have not come */
    uint64_t length; /* bytes of this message so far */
    uint8_t head[10], head_len;
    uint8_t opcode; /* of this message, or of the last one */
    char first;     /* the message's first byte */
    bool in_message, in_frame;
    uint8_t control_len;
    char control[125];
};

/* Takes bytes off the front of `input` up to the next event. */
enum websocket_event websocket_next(struct websocket *websocket, struct bytes *input, struct bytes *payload);

/* The most that websocket_frame adds to a payload. */
#define WEBSOCKET_FRAME_EXTRA 14

/* Writes one masked frame; gives its length. */
size_t websocket_frame(char *out, int opcode, struct bytes payload);

#endif
