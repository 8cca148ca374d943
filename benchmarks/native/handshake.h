/* The server's side of a WebSocket upgrade (RFC 6455 §4.2.2). */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

#include "net.h"

/* Writes the value of Sec-WebSocket-Accept for a key, with a terminator: 28 characters. */
void websocket_accept(struct bytes key, char out[29]);

#endif
