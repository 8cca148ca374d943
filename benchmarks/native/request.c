#define _GNU_SOURCE
#include "request.h"

#include <stdlib.h>
#include <string.h>

struct bytes read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    char *data = NULL;
    size_t len = 0, room = 0, count;
    if (!file)
        usage_error("the file '%s' cannot be read", path);
    do {
        if (len == room)
            data = need(realloc(data, room += 65536));
        count = fread(data + len, 1, room - len, file);
        len += count;
    } while (count && len < SENDING_LIMIT / 2);
    if (ferror(file) || count)
        usage_error("the file '%s' cannot be read, or is larger than %d bytes", path, SENDING_LIMIT / 2);
    fclose(file);
    return (struct bytes){data, len};
}

struct bytes numbered(struct bytes text, int number) {
    char *out = NULL;
    size_t len = 0;
    FILE *stream = need(open_memstream(&out, &len));
    while (text.len) {
        const char *mark = memmem(text.data, text.len, "{n}", 3);
        size_t before = mark ? (size_t)(mark - text.data) : text.len;
        fwrite(text.data, 1, before, stream);
        if (mark)
            fprintf(stream, "%d", number);
        text.data += before + (mark ? 3 : 0);
        text.len -= before + (mark ? 3 : 0);
    }
    fclose(stream);
    return (struct bytes){need(out), len};
}

/* The path, with `offset=` set to where the watcher stands. */
static void write_path(FILE *stream, const char *path, const struct position *position) {
    if (!position || position->kind != RESUME_DURABLE || !*position->last) {
        fputs(path, stream);
        return;
    }
    const char *query = strchr(path, '?');
    const char *offset = query ? query + 1 : NULL;
    while (offset && strncmp(offset, "offset=", 7))
        offset = (offset = strchr(offset, '&')) ? offset + 1 : NULL;
    if (!offset) {
        fprintf(stream, "%s%soffset=%s", path, query ? "&" : "?", position->last);
        return;
    }
    fprintf(stream, "%.*soffset=%s%s", (int)(offset - path), path, position->last, strchrnul(offset, '&'));
}

void request_write(const struct request *request, int number, const struct position *position,
                   struct sending *sending) {
    char *out = NULL;
    size_t len = 0;
    FILE *stream = need(open_memstream(&out, &len));
    struct bytes path = numbered((struct bytes){request->path, strlen(request->path)}, number);
    struct bytes body = numbered(request->body, number);
    fprintf(stream, "%s ", request->method);
    write_path(stream, path.data, position);
    fprintf(stream, " HTTP/1.1\r\nHost: %s:%d\r\n", request->host, request->port);
    for (int i = 0; i < request->header_count; i++)
        fprintf(stream, "%s\r\n", request->headers[i]);
    if (request->websocket)
        /* The key of RFC 6455 §1.3: the server need not be told apart from a cache here. */
        fputs("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
              stream);
    if (request->subprotocol)
        fprintf(stream, "Sec-WebSocket-Protocol: %s\r\n", request->subprotocol);
    if (position && position->kind == RESUME_LAST_EVENT_ID && *position->last)
        fprintf(stream, "Last-Event-ID: %s\r\n", position->last);
    if (body.len || !strcmp(request->method, "POST"))
        fprintf(stream, "Content-Length: %zu\r\n", body.len);
    fputs("\r\n", stream);
    fwrite(body.data, 1, body.len, stream);
    fclose(stream);
    memcpy(sending_room(sending, len), need(out), len);
    free(out);
    free((char *)path.data);
    free((char *)body.data);
}
