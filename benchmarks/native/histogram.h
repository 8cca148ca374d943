/* A log-linear histogram of whole numbers: fixed size, relative error below 1 %. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

/* Values below 64 are exact; above, each power of two has 64 buckets. Room for 2^42 µs: 50 days. */
#define HISTOGRAM_BUCKETS (64 * 37)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count, sum, max;
};

void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t value);

/* The value that `share` (0 to 1) of all are not above; 0 when there are none. */
double histogram_quantile(const struct histogram *histogram, double share);
double histogram_mean(const struct histogram *histogram);

#endif
