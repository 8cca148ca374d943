#include "lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "net.h"

void lines_open(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
        fatal("stdin");
}

bool lines_full(const struct lines *lines) { return lines->len == sizeof lines->held; }

void lines_read(struct lines *lines, int fd) {
    while (!lines->ended && !lines_full(lines)) {
        ssize_t count = read(fd, lines->held + lines->len, sizeof lines->held - lines->len);
        if (count > 0)
            lines->len += (size_t)count;
        else if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        else
            lines->ended = true;
    }
}

bool lines_next(struct lines *lines, char line[256]) {
    char *end = memchr(lines->held, '\n', lines->len);
    size_t len = end ? (size_t)(end - lines->held) : lines->len;
    if (!end && !(lines->ended && len) && !lines_full(lines))
        return false;
    /* A line that is too long is cut, and so becomes a command that is not known. */
    size_t kept = len < 255 ? len : 255;
    memcpy(line, lines->held, kept);
    line[kept] = '\0';
    size_t taken = end ? len + 1 : len;
    lines->len -= taken;
    memmove(lines->held, lines->held + taken, lines->len);
    return true;
}
