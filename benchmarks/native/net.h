/* Sockets, clocks and limits: what all the programs here share. */
#ifndef NET_H
#define NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A piece of somebody else's memory. */
struct bytes {
    const char *data;
    size_t len;
};

/* CLOCK_MONOTONIC in microseconds: the clock of Python's time.monotonic_ns and Node's process.hrtime. */
uint64_t now_us(void);

/* CPU seconds of this process, user and system. */
double cpu_seconds(void);

/* One line on stderr, exit 2: the command line was wrong. */
_Noreturn void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line on stderr with errno, exit 1: the system refused what cannot be done without. */
_Noreturn void fatal(const char *what);

/* A whole number of the command line, or a usage error that names `what`. */
long parse_number(const char *text, long least, long most, const char *what);

/* Raises the soft limit of descriptors to the hard one. */
void raise_descriptors(void);

/* A listening, non-blocking socket on loopback; `port` 0 takes a free one and gets its number. */
int listen_on(int *port);

/* Accepts one connection, non-blocking and without Nagle; -1 when there is none. */
int accept_one(int listener);

/* Begins to connect without blocking; -1 with errno when that failed at once. `receive_buffer` 0: the system's own. */
int connect_to(const char *host, int port, int receive_buffer);

/* Says on stdout that the program accepts on `port`. */
void print_ready(int port);

/* Writes `text` as a JSON string. */
void print_json_text(FILE *out, const char *text, size_t len);

/* Memory, or the end. */
void *need(void *memory);

#endif
