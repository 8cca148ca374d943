/* Finds the markers `#<seq>@<micros>;` in a stream of bytes that may be cut anywhere. */
#ifndef MARKER_H
#define MARKER_H

#include <stddef.h>
#include <stdint.h>

struct marker {
    uint64_t seq, micros;
    uint8_t state, digits;
};

typedef void marker_seen(void *context, uint64_t seq, uint64_t micros);

/* Calls `seen` for each marker that ends in these bytes. */
void marker_scan(struct marker *marker, const char *data, size_t len, marker_seen *seen, void *context);

#endif
