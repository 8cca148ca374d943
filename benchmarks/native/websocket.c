#include "websocket.h"

#include <string.h>

static bool is_control(const struct websocket *websocket) { return websocket->head[0] & 8; }

static bool is_last(const struct websocket *websocket) { return websocket->head[0] & 0x80; }

/* Bytes that the head has, as far as is known from the first two. */
static size_t head_size(const struct websocket *websocket) {
    int length = websocket->head_len < 2 ? 0 : websocket->head[1];
    return length == 127 ? 10 : length == 126 ? 4 : 2;
}

/* Judges a complete head and begins its frame; false when a server may not send it. */
static bool begin_frame(struct websocket *websocket) {
    const uint8_t *head = websocket->head;
    int opcode = head[0] & 0x0f;
    uint64_t length = head[1];
    if (length >= 126) {
        size_t size = length == 126 ? 2 : 8;
        length = 0;
        for (size_t i = 0; i < size; i++)
            length = length << 8 | head[2 + i];
    }
    /* No extension was offered, so the reserved bits are 0; a server does not mask. */
    if (head[0] & 0x70 || head[1] & 0x80 || length >> 63)
        return false;
    if (is_control(websocket)) {
        if (!is_last(websocket) || length > 125 || opcode > OPCODE_PONG)
            return false;
        websocket->control_len = 0;
    } else {
        bool continues = opcode == OPCODE_CONTINUATION;
        if (opcode > OPCODE_BINARY || continues != websocket->in_message)
            return false;
        if (!continues) {
            websocket->opcode = (uint8_t)opcode;
            websocket->length = 0;
        }
        websocket->in_message = !is_last(websocket);
    }
    websocket->left = length;
    websocket->in_frame = true;
    return true;
}

static struct bytes take(struct bytes *input, uint64_t most) {
    struct bytes taken = {input->data, input->len < most ? input->len : (size_t)most};
    input->data += taken.len;
    input->len -= taken.len;
    return taken;
}

/* The end of a frame; WEBSOCKET_MORE when it means nothing to the caller. */
static enum websocket_event end_frame(struct websocket *websocket, struct bytes *payload) {
    int opcode = websocket->head[0] & 0x0f;
    websocket->in_frame = false;
    websocket->head_len = 0;
    if (opcode & 8) {
        *payload = (struct bytes){websocket->control, websocket->control_len};
        return opcode == OPCODE_PING ? WEBSOCKET_PING : opcode == OPCODE_CLOSE ? WEBSOCKET_CLOSE : WEBSOCKET_MORE;
    }
    return is_last(websocket) ? WEBSOCKET_MESSAGE : WEBSOCKET_MORE;
}

enum websocket_event websocket_next(struct websocket *websocket, struct bytes *input, struct bytes *payload) {
    for (;;) {
        while (!websocket->in_frame) {
            if (!input->len)
                return WEBSOCKET_MORE;
            websocket->head[websocket->head_len++] = (uint8_t)*input->data;
            input->data++;
            input->len--;
            if (websocket->head_len >= 2 && websocket->head_len == head_size(websocket) && !begin_frame(websocket))
                return WEBSOCKET_ERROR;
        }
        if (websocket->left) {
            if (!input->len)
                return WEBSOCKET_MORE;
            *payload = take(input, websocket->left);
            websocket->left -= payload->len;
            if (!is_control(websocket)) {
                if (!websocket->length)
                    websocket->first = *payload->data;
                websocket->length += payload->len;
                return WEBSOCKET_DATA;
            }
            memcpy(websocket->control + websocket->control_len, payload->data, payload->len);
            websocket->control_len += (uint8_t)payload->len;
            continue;
        }
        enum websocket_event event = end_frame(websocket, payload);
        if (event == WEBSOCKET_MORE)
            continue;
        return event;
    }
}

size_t websocket_frame(char *out, int opcode, struct bytes payload) {
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d}; /* anything: nobody here is to be protected by it */
    unsigned char *at = (unsigned char *)out;
    *at++ = (unsigned char)(0x80 | opcode);
    size_t size = payload.len < 126 ? 0 : payload.len < 65536 ? 2 : 8;
    *at++ = (unsigned char)(0x80 | (size == 0 ? payload.len : size == 2 ? 126 : 127));
    for (size_t i = size; i-- > 0;)
        *at++ = (unsigned char)(payload.len >> (8 * i));
    memcpy(at, mask, 4);
    at += 4;
    for (size_t i = 0; i < payload.len; i++)
        *at++ = (unsigned char)payload.data[i] ^ mask[i & 3];
    return (size_t)(at - (unsigned char *)out);
}
