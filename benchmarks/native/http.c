#define _GNU_SOURCE
#include "http.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum state {
    IN_HEAD,
    HEAD_READ,
    BODY_LENGTH,
    BODY_UNTIL_CLOSE,
    CHUNK_SIZE_FIRST, /* needs a digit */
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_DATA,
    CHUNK_END,     /* the line end after a chunk's data */
    TRAILER_START, /* at the start of a line: an empty one ends the message */
    TRAILER,
    COMPLETE,
    BROKEN,
};

void http_begin(struct http *http, bool is_request) {
    http_free(http);
    *http = (struct http){.is_request = is_request};
}

void http_free(struct http *http) {
    free(http->head);
    http->head = NULL;
}

bool http_header(const struct http *http, const char *name, struct bytes *value) {
    size_t name_len = strlen(name);
    const char *end = http->head + http->head_len;
    const char *line = memchr(http->head, '\n', http->head_len);
    while (line && ++line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        const char *stop = next ? next : end;
        if ((size_t)(stop - line) > name_len && line[name_len] == ':' && !strncasecmp(line, name, name_len)) {
            const char *start = line + name_len + 1;
            while (start < stop && isspace((unsigned char)*start))
                start++;
            while (stop > start && isspace((unsigned char)stop[-1]))
                stop--;
            *value = (struct bytes){start, (size_t)(stop - start)};
            return true;
        }
        line = next;
    }
    return false;
}

bool http_header_has(const struct http *http, const char *name, const char *token) {
    struct bytes value;
    size_t len = strlen(token);
    if (!http_header(http, name, &value))
        return false;
    while (value.len) {
        const char *comma = memchr(value.data, ',', value.len);
        size_t item = comma ? (size_t)(comma - value.data) : value.len;
        const char *start = value.data;
        value.data += item + (comma != NULL);
        value.len -= item + (comma != NULL);
        for (; item && isspace((unsigned char)*start); item--)
            start++;
        while (item && isspace((unsigned char)start[item - 1]))
            item--;
        if (item == len && !strncasecmp(start, token, len))
            return true;
    }
    return false;
}

static bool has_body(const struct http *http) {
    return http->is_request || !(http->status < 200 || http->status == 204 || http->status == 304);
}

/* RFC 9112 §6.3: chunked wins over a length; without both a request has no body and a response lasts until the close. */
static enum state body_state(struct http *http) {
    struct bytes value;
    if (!has_body(http))
        return COMPLETE;
    if (http_header_has(http, "transfer-encoding", "chunked"))
        return CHUNK_SIZE_FIRST;
    if (http_header(http, "content-length", &value)) {
        if (!value.len || value.len > 18)
            return BROKEN;
        for (size_t i = 0; i < value.len; i++) {
            if (!isdigit((unsigned char)value.data[i]))
                return BROKEN;
            http->left = http->left * 10 + (uint64_t)(value.data[i] - '0');
        }
        return http->left ? BODY_LENGTH : COMPLETE;
    }
    if (http->is_request)
        return COMPLETE;
    http->close = true;
    return BODY_UNTIL_CLOSE;
}

static bool parse_first_line(struct http *http) {
    const char *end = memchr(http->head, '\n', http->head_len);
    const char *version = http->head;
    if (http->is_request) {
        version = memmem(http->head, (size_t)(end - http->head), " HTTP/1.", 8);
        if (!version || version == http->head)
            return false;
        version++;
    } else {
        if (http->head_len < 12 || memcmp(http->head, "HTTP/1.", 7) || http->head[8] != ' ')
            return false;
        for (int i = 9; i < 12; i++) {
            if (!isdigit((unsigned char)http->head[i]))
                return false;
            http->status = (uint16_t)(http->status * 10 + (http->head[i] - '0'));
        }
    }
    http->version_1_0 = version[7] == '0';
    http->close = http->version_1_0 ? !http_header_has(http, "connection", "keep-alive")
                                    : http_header_has(http, "connection", "close");
    return true;
}

/* Copies into http->head up to and with the empty line; true when it is complete. */
static bool take_head(struct http *http, struct bytes *input) {
    if (!http->head)
        http->head = need(malloc(HTTP_HEAD_LIMIT));
    while (input->len && http->head_len < HTTP_HEAD_LIMIT) {
        const char *newline = memchr(input->data, '\n', input->len);
        size_t len = newline ? (size_t)(newline - input->data) + 1 : input->len;
        if (len > HTTP_HEAD_LIMIT - http->head_len)
            len = HTTP_HEAD_LIMIT - http->head_len;
        memcpy(http->head + http->head_len, input->data, len);
        http->head_len += (uint32_t)len;
        input->data += len;
        input->len -= len;
        const char *head = http->head;
        size_t size = http->head_len;
        bool empty_line = size >= 2 && head[size - 1] == '\n' &&
                          (head[size - 2] == '\n' || (size >= 3 && head[size - 2] == '\r' && head[size - 3] == '\n'));
        if (empty_line)
            return true;
        if (size <= 2 && (head[0] == '\n' || (size == 2 && head[0] == '\r' && head[1] == '\n')))
            http->head_len = 0; /* empty lines before a message are allowed */
    }
    return false;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of what stands around the chunks' data. */
static enum state chunk_byte(struct http *http, char c) {
    int digit = hex_digit(c);
    switch (http->state) {
    case CHUNK_SIZE_FIRST:
        http->left = 0;
        if (digit < 0)
            return BROKEN;
        /* fall through */
    case CHUNK_SIZE:
        if (digit >= 0) {
            http->left = http->left << 4 | (uint64_t)digit;
            return http->left >> 48 ? BROKEN : CHUNK_SIZE;
        }
        if (c != '\n')
            return c == '\r' || c == ';' || c == ' ' || c == '\t' ? CHUNK_EXTENSION : BROKEN;
        /* fall through */
    case CHUNK_EXTENSION:
        if (c != '\n')
            return CHUNK_EXTENSION;
        return http->left ? CHUNK_DATA : TRAILER_START;
    case CHUNK_END:
        return c == '\n' ? CHUNK_SIZE_FIRST : c == '\r' ? CHUNK_END : BROKEN;
    case TRAILER_START:
        return c == '\n' ? COMPLETE : c == '\r' ? TRAILER_START : TRAILER;
    default:
        return c == '\n' ? TRAILER_START : TRAILER;
    }
}

static struct bytes take_body(struct http *http, struct bytes *input) {
    struct bytes body = {input->data, input->len};
    if (http->state != BODY_UNTIL_CLOSE) {
        if (body.len > http->left)
            body.len = http->left;
        http->left -= body.len;
        if (!http->left)
            http->state = http->state == CHUNK_DATA ? CHUNK_END : COMPLETE;
    }
    input->data += body.len;
    input->len -= body.len;
    return body;
}

enum http_event http_next(struct http *http, struct bytes *input, struct bytes *body) {
    if (http->state == HEAD_READ) {
        http->state = (uint8_t)body_state(http);
        http_free(http);
    }
    if (http->state == IN_HEAD) {
        if (take_head(http, input)) {
            http->state = HEAD_READ;
            if (parse_first_line(http))
                return HTTP_HEAD;
            http->state = BROKEN;
        } else if (http->head_len < HTTP_HEAD_LIMIT) {
            return HTTP_MORE;
        } else {
            http->state = BROKEN;
        }
    }
    for (;;) {
        if (http->state == COMPLETE)
            return HTTP_END;
        if (http->state == BROKEN)
            return HTTP_ERROR;
        if (!input->len)
            return HTTP_MORE;
        if (http->state == CHUNK_DATA || http->state == BODY_LENGTH || http->state == BODY_UNTIL_CLOSE) {
            *body = take_body(http, input);
            return HTTP_DATA;
        }
        http->state = (uint8_t)chunk_byte(http, *input->data);
        input->data++;
        input->len--;
    }
}

enum http_event http_eof(const struct http *http) {
    return http->state == BODY_UNTIL_CLOSE || http->state == COMPLETE ? HTTP_END : HTTP_ERROR;
}
