#define _GNU_SOURCE
#include "position.h"

#include <string.h>

static void remember(struct position *position, const char *value, size_t len) {
    if (len >= POSITION_LIMIT || memchr(value, 0, len))
        return;
    memcpy(position->next, value, len);
    position->next[len] = '\0';
    position->has_next = true;
}

static void read_id(struct position *position, const char *line, size_t len) {
    if (len < 3 || memcmp(line, "id:", 3))
        return;
    size_t skip = len > 3 && line[3] == ' ' ? 4 : 3;
    remember(position, line + skip, len - skip);
}

static void read_offset(struct position *position, const char *line, size_t len) {
    static const char key[] = "\"streamNextOffset\":\"";
    if (len < 5 || memcmp(line, "data:", 5))
        return;
    const char *found = memmem(line, len, key, sizeof key - 1);
    if (!found)
        return;
    const char *value = found + sizeof key - 1;
    const char *end = memchr(value, '"', (size_t)(line + len - value));
    if (end)
        remember(position, value, (size_t)(end - value));
}

/* One whole line without its end; true when it is the empty one that completes an event with a position. */
static bool read_line(struct position *position, const char *line, size_t len) {
    if (len && line[len - 1] == '\r')
        len--;
    if (!len) {
        bool complete = position->has_next;
        if (complete)
            memcpy(position->last, position->next, POSITION_LIMIT);
        position->has_next = false;
        return complete;
    }
    if (position->kind == RESUME_DURABLE)
        read_offset(position, line, len);
    else
        read_id(position, line, len);
    return false;
}

static void keep(struct position *position, const char *part, size_t len) {
    if (position->line_len + len > POSITION_LINE_LIMIT) {
        position->too_long = true;
        return;
    }
    memcpy(position->line + position->line_len, part, len);
    position->line_len += (uint16_t)len;
}

size_t position_read(struct position *position, struct bytes part) {
    const char *at = part.data, *end = part.data + part.len;
    size_t complete = 0;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((newline ? newline : end) - at);
        bool carried = position->line_len || position->too_long;
        if (!newline) {
            keep(position, at, len);
            break;
        }
        if (carried)
            keep(position, at, len);
        if (!position->too_long &&
            read_line(position, carried ? position->line : at, carried ? position->line_len : len))
            complete = (size_t)(newline + 1 - part.data);
        position->line_len = 0;
        position->too_long = false;
        at = newline + 1;
    }
    return complete;
}

void position_restart(struct position *position) {
    position->has_next = position->too_long = false;
    position->line_len = 0;
}
