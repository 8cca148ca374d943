#include "marker.h"

#include <string.h>

enum { OUTSIDE, IN_SEQ, IN_MICROS };

/* More digits than any clock or count has: a number this long is not a marker, and cannot overflow. */
#define MOST_DIGITS 18

void marker_scan(struct marker *marker, const char *data, size_t len, marker_seen *seen, void *context) {
    const char *at = data, *end = data + len;
    struct marker now = *marker; /* a local copy stays in registers */
    while (at < end) {
        if (now.state == OUTSIDE) {
            at = memchr(at, '#', (size_t)(end - at));
            if (!at)
                break;
            at++;
            now = (struct marker){.state = IN_SEQ};
            continue;
        }
        char c = *at;
        uint64_t *number = now.state == IN_SEQ ? &now.seq : &now.micros;
        if (c >= '0' && c <= '9' && now.digits < MOST_DIGITS) {
            *number = *number * 10 + (uint64_t)(c - '0');
            now.digits++;
        } else if (now.state == IN_SEQ && c == '@' && now.digits) {
            now.state = IN_MICROS;
            now.digits = 0;
        } else if (now.state == IN_MICROS && c == ';' && now.digits) {
            seen(context, now.seq, now.micros);
            now.state = OUTSIDE;
        } else {
            now.state = OUTSIDE; /* not a marker; this byte may begin one */
            continue;
        }
        at++;
    }
    *marker = now;
}
