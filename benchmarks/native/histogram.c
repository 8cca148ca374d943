#include "histogram.h"

#include <string.h>

void histogram_clear(struct histogram *histogram) { memset(histogram, 0, sizeof *histogram); }

static unsigned bucket_of(uint64_t value) {
    if (value < 64)
        return (unsigned)value;
    unsigned shift = 57 - (unsigned)__builtin_clzll(value); /* so that value >> shift is 64 to 127 */
    unsigned bucket = shift * 64 + (unsigned)(value >> shift);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static double middle_of(unsigned bucket) {
    if (bucket < 128)
        return bucket;
    unsigned shift = bucket / 64 - 1;
    uint64_t lowest = (uint64_t)(bucket - shift * 64) << shift;
    return (double)lowest + (double)((1ULL << shift) - 1) / 2;
}

void histogram_add(struct histogram *histogram, uint64_t value) {
    histogram->counts[bucket_of(value)]++;
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->max)
        histogram->max = value;
}

double histogram_quantile(const struct histogram *histogram, double share) {
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen && (double)seen >= wanted) {
            double middle = middle_of(bucket);
            return middle < (double)histogram->max ? middle : (double)histogram->max;
        }
    }
    return 0;
}

double histogram_mean(const struct histogram *histogram) {
    return histogram->count ? (double)histogram->sum / (double)histogram->count : 0;
}
