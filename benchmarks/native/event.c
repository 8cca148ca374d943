#include "event.h"

#include <string.h>

size_t write_number(char *out, uint64_t value) {
    char digits[20];
    size_t len = 0;
    do {
        digits[len++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < len; i++)
        out[i] = digits[len - 1 - i];
    return len;
}

size_t write_marker(char *out, uint64_t seq, uint64_t micros) {
    char *at = out;
    *at++ = '#';
    at += write_number(at, seq);
    *at++ = '@';
    at += write_number(at, micros);
    *at++ = ';';
    return (size_t)(at - out);
}

size_t write_event_text(char *out, uint64_t seq, uint64_t micros) {
    static const char words[] = "the quick brown fox jumps over the lazy dog and goes home";
    char marker[48];
    size_t marker_len = write_marker(marker, seq, micros);
    size_t words_len = EVENT_TEXT - marker_len;
    memcpy(out, words, words_len - 1);
    out[words_len - 1] = ' ';
    memcpy(out + words_len, marker, marker_len);
    return EVENT_TEXT;
}
