/* `load publish`: events by HTTP POST, for servers that cannot make them themselves. */
#ifndef PUBLISH_H
#define PUBLISH_H

#include "request.h"

struct publish_options {
    struct request request;
    double rate; /* of a `start` that names none */
    int batch;   /* events of one POST, as a JSON array; 0: one, as it is */
};

/* Runs until stdin ends or says quit. */
int publish_run(const struct publish_options *options);

#endif
