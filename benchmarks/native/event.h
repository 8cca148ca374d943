/* The text of a fan-out event: some words, then the marker that the load client looks for. */
#ifndef EVENT_H
#define EVENT_H

#include <stddef.h>
#include <stdint.h>

/* Texts are padded to this many bytes. */
#define EVENT_TEXT 60

/* Writes a decimal number without a terminator; gives its length. Quicker than printf by far. */
size_t write_number(char *out, uint64_t value);

/* Writes `#<seq>@<micros>;`; at most 42 bytes. */
size_t write_marker(char *out, uint64_t seq, uint64_t micros);

/* Writes the text of event `seq`, made at `micros`: EVENT_TEXT bytes, for as long as the marker leaves room. */
size_t write_event_text(char *out, uint64_t seq, uint64_t micros);

#endif
