#include "roofline.h"

#include <math.h>

static const double floor_share = 0.5;

/* What can be read at this rate from a larger working set can be read so from this one. */
static double rate_at(const struct mb_ceilings *c, size_t i) {
    double highest = 0;
    for (; i < c->n_read; i++) highest = fmax(highest, c->read[i].read_gbps);
    return highest;
}

static double read_gbps(const struct mb_ceilings *c, double bytes) {
    size_t i = 0;
    while (i < c->n_read && (double)c->read[i].bytes < bytes) i++;
    if (i == 0) return rate_at(c, 0);
    if (i == c->n_read) return rate_at(c, i - 1);
    const double low = (double)c->read[i - 1].bytes, high = (double)c->read[i].bytes;
    const double at = log(bytes / low) / log(high / low), rate = rate_at(c, i - 1);
    return rate + at * (rate_at(c, i) - rate);
}

static struct mb_roofline roofline(const struct mb_ceilings *c, double gbps, double bytes,
                                   double flops) {
    const double memory_ns = bytes / gbps, compute_ns = flops / c->fma_gflops;
    return (struct mb_roofline){fmax(memory_ns, compute_ns), gbps, compute_ns > memory_ns};
}

struct mb_roofline mb_roofline_of(const struct mb_ceilings *ceilings, double bytes, double flops) {
    return roofline(ceilings, read_gbps(ceilings, bytes), bytes, flops);
}

double mb_roofline_floor_ns(const struct mb_ceilings *ceilings, const struct mb_least *least,
                            bool cold, bool capped) {
    const double working_set = cold ? (double)INFINITY : least->bytes / 2;
    const double gbps = read_gbps(ceilings, working_set);
    return floor_share * roofline(ceilings, gbps, least->bytes, capped ? 0 : least->flops).ns;
}

void mb_roofline_conclude(const struct mb_result *result, struct mb_benchmark_result *b) {
    const enum mb_device_series series = b->cold ? MB_DEVICE_cold : MB_DEVICE_batch;
    for (size_t i = 0; i < b->n_executors; i++) {
        struct mb_executor_result *e = &b->executors[i];
        const double flops = e->info.flops > 0 ? e->info.flops : b->flops;
        const double device_ns = e->device_time[series].summary_ns.p50;
        e->roofline = (struct mb_roofline){(double)NAN, (double)NAN, false};
        e->roofline_share = (double)NAN;
        if (!result->has_ceilings || b->transfers || !e->n_samples) continue;
        const double gbps = read_gbps(&result->ceilings, b->cold ? (double)INFINITY : b->bytes);
        e->roofline = roofline(&result->ceilings, gbps, b->bytes, flops);
        e->roofline_share = e->roofline.ns / (isnan(device_ns) ? e->latency_ns.p50 : device_ns);
    }
}

void mb_ceilings_merge(struct mb_ceilings *c, const struct mb_ceilings *others) {
    for (size_t i = 0; i < c->n_read && i < others->n_read; i++)
        c->read[i].read_gbps = fmax(c->read[i].read_gbps, others->read[i].read_gbps);
    c->fma_gflops = fmax(c->fma_gflops, others->fma_gflops);
    c->launch_ns = fmin(c->launch_ns, others->launch_ns);
    c->graph_node_ns = fmin(c->graph_node_ns, others->graph_node_ns);
}
