#include "sending.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

char *sending_room(struct sending *sending, size_t len) {
    if (sending->len + len > SENDING_LIMIT)
        return NULL;
    sending->data = need(realloc(sending->data, sending->len + len));
    char *room = sending->data + sending->len;
    sending->len += len;
    return room;
}

int sending_flush(struct sending *sending, int fd) {
    while (sending->sent < sending->len) {
        ssize_t count =
            send(fd, sending->data + sending->sent, sending->len - sending->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return errno == EAGAIN ? 0 : -1;
        sending->sent += (size_t)count;
    }
    sending_clear(sending);
    return 1;
}

void sending_clear(struct sending *sending) {
    free(sending->data);
    *sending = (struct sending){0};
}
