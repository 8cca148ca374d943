/* The bytes of one answer in OpenAI's format: chat.completion.chunk events in an HTTP body. */
#ifndef COMPLETION_H
#define COMPLETION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nothing here writes more than this at a time. */
#define COMPLETION_MOST 1024

/* How a body is delimited. */
struct framing {
    bool chunked; /* else it ends with the connection */
    bool close;   /* the connection ends with this answer */
};

size_t completion_head(char *out, struct framing framing);
size_t completion_token(char *out, struct framing framing, uint64_t stream, uint64_t seq, uint64_t micros);

/* finish_reason, usage, [DONE] and the end of the body. */
size_t completion_end(char *out, struct framing framing, uint64_t stream, uint64_t tokens);

#endif
