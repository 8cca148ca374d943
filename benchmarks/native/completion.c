#define _GNU_SOURCE
#include "completion.h"

#include <stdio.h>
#include <string.h>

#include "event.h"

size_t completion_head(char *out, struct framing framing) {
    return (size_t)sprintf(out,
                           "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                           "Cache-Control: no-cache\r\n%s%s\r\n",
                           framing.chunked ? "Transfer-Encoding: chunked\r\n" : "",
                           framing.close ? "Connection: close\r\n" : "");
}

/* Moves an event behind its chunk's size, and ends the chunk. */
static size_t frame(char *out, struct framing framing, const char *event, size_t len) {
    static const char digits[] = "0123456789abcdef";
    char *at = out;
    if (framing.chunked) {
        for (int shift = 8; shift >= 0; shift -= 4)
            *at++ = digits[len >> shift & 15];
        at = mempcpy(at, "\r\n", 2);
    }
    at = mempcpy(at, event, len);
    if (framing.chunked)
        at = mempcpy(at, "\r\n", 2);
    return (size_t)(at - out);
}

/* Everything before `choices`. */
static char *begin(char *at, uint64_t stream) {
    at = stpcpy(at, "data: {\"id\":\"chatcmpl-bench");
    at += write_number(at, stream);
    return stpcpy(at, "\",\"object\":\"chat.completion.chunk\",\"created\":1753000000,\"model\":\"bench\",\"choices\":[");
}

size_t completion_token(char *out, struct framing framing, uint64_t stream, uint64_t seq, uint64_t micros) {
    char event[COMPLETION_MOST], *at = begin(event, stream);
    at = stpcpy(at, "{\"index\":0,\"delta\":{\"content\":\" word ");
    at += write_marker(at, seq, micros);
    at = stpcpy(at, "\"},\"finish_reason\":null}]}\n\n");
    return frame(out, framing, event, (size_t)(at - event));
}

size_t completion_end(char *out, struct framing framing, uint64_t stream, uint64_t tokens) {
    char event[COMPLETION_MOST], *at = begin(event, stream);
    char *to = out;
    at = stpcpy(at, "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    to += frame(to, framing, event, (size_t)(at - event));
    at = begin(event, stream);
    at += sprintf(at, "],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":%llu,\"total_tokens\":%llu}}\n\n",
                  (unsigned long long)tokens, (unsigned long long)tokens + 9);
    to += frame(to, framing, event, (size_t)(at - event));
    to += frame(to, framing, "data: [DONE]\n\n", 14);
    if (framing.chunked)
        to = stpcpy(to, "0\r\n\r\n");
    return (size_t)(to - out);
}
