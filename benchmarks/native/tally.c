#include "tally.h"

void tally_begin(struct tally *tally) {
    *tally = (struct tally){.begun = now_us(), .cpu_before = cpu_seconds()};
}

uint64_t tally_event(struct tally *tally, uint64_t last, uint64_t seq, uint64_t micros, uint64_t now) {
    tally->deliveries++;
    histogram_add(&tally->latency, now > micros ? now - micros : 0);
    if (!tally->min_seq || seq < tally->min_seq)
        tally->min_seq = seq;
    if (seq > tally->max_seq)
        tally->max_seq = seq;
    if (last && seq <= last) {
        tally->duplicates++;
        return last;
    }
    if (last)
        tally->gaps += seq - last - 1;
    return seq;
}

void tally_print(const struct tally *tally) {
    const struct histogram *latency = &tally->latency;
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        {"deliveries", tally->deliveries},
        {"reads", tally->reads},
        {"bytes", tally->bytes},
        {"gaps", tally->gaps},
        {"duplicates", tally->duplicates},
        {"disconnected", tally->disconnected},
        {"ended", tally->ended},
        {"min_seq", tally->min_seq},
        {"max_seq", tally->max_seq},
        {"slow_deliveries", tally->slow_deliveries},
        {"slow_disconnected", tally->slow_disconnected},
        {"stalled_disconnected", tally->stalled_disconnected},
    };
    printf("{\"seconds\":%.6f", (double)(now_us() - tally->begun) / 1e6);
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        printf(",\"%s\":%llu", counters[i].name, (unsigned long long)counters[i].value);
    printf(",\"events_per_read\":%.3f", tally->reads ? (double)tally->deliveries / (double)tally->reads : 0.0);
    printf(",\"latency_us\":{\"p50\":%.0f,\"p90\":%.0f,\"p99\":%.0f,\"max\":%llu,\"mean\":%.1f}",
           histogram_quantile(latency, 0.5), histogram_quantile(latency, 0.9), histogram_quantile(latency, 0.99),
           (unsigned long long)latency->max, histogram_mean(latency));
    printf(",\"cpu_seconds\":%.6f}\n", cpu_seconds() - tally->cpu_before);
    fflush(stdout);
}
