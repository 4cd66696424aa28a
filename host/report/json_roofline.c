#include "json_roofline.h"

#include <math.h>

static const double us = 1e3; /* in nanoseconds */

static void reads(struct mb_io_object *parent, struct mb_ceilings *c) {
    struct mb_io_object array = mb_io_array(parent, "read", &c->n_read);
    if (array.io->reading && c->n_read > MB_CEILING_SIZES) {
        mb_io_wrong(&array, NULL, "has more than %d sizes", MB_CEILING_SIZES);
        c->n_read = 0;
    }
    for (size_t i = 0; i < c->n_read && !array.io->failed; i++) {
        struct mb_io_object o = mb_io_element(&array, i);
        int64_t bytes = (int64_t)c->read[i].bytes;
        mb_io_integer(&o, "bytes", &bytes, 1, INT64_MAX);
        mb_io_number(&o, "gbps", &c->read[i].read_gbps, 1);
        mb_io_end(&o);
        if (array.io->reading) c->read[i].bytes = (size_t)bytes;
    }
}

void mb_json_ceilings(struct mb_io_object *whole, struct mb_result *r) {
    struct mb_ceilings *c = &r->ceilings;
    const bool tried = r->has_ceilings || r->ceilings_reason;
    if (!mb_io_optional(whole, "ceilings", tried)) return;
    struct mb_io_object o = mb_io_object(whole, "ceilings");
    mb_io_text(&o, "reason", &r->ceilings_reason);
    if (o.io->reading) r->has_ceilings = !r->ceilings_reason;
    o.blank = !r->has_ceilings;
    mb_io_number(&o, "fma_gflops", &c->fma_gflops, 1);
    mb_io_number(&o, "launch_us", &c->launch_ns, us);
    mb_io_number(&o, "graph_node_us", &c->graph_node_ns, us);
    o.blank = false;
    reads(&o, c);
    if (o.io->reading && r->has_ceilings && (!c->n_read || !(c->fma_gflops > 0)))
        mb_io_wrong(&o, NULL, "gives neither a reason nor all ceilings");
    mb_io_end(&o);
}

static void operations(struct mb_io_object *row, struct mb_executor_result *e) {
    if (!mb_io_optional(row, "operations", e->n_operations > 0)) return;
    struct mb_io_object array = mb_io_array(row, "operations", &e->n_operations);
    e->operations = mb_io_room(array.io, e->operations, e->n_operations, sizeof *e->operations);
    for (size_t i = 0; i < e->n_operations && !array.io->failed; i++) {
        struct mb_operation *op = &e->operations[i];
        struct mb_io_object o = mb_io_element(&array, i);
        mb_io_chars(&o, "kernel", op->kernel, sizeof op->kernel);
        mb_io_chars(&o, "what", op->what, sizeof op->what);
        mb_io_number(&o, "us", &op->ns, us);
        mb_io_number(&o, "bytes", &op->bytes, 1);
        mb_io_number(&o, "flops", &op->flops, 1);
        mb_io_end(&o);
    }
    if (array.io->failed && array.io->reading) e->n_operations = 0;
}

void mb_json_roofline(struct mb_io_object *row, struct mb_executor_result *e) {
    static const char *const bounds[] = {"memory", "compute"};
    enum { N_BOUNDS = 2 };
    if (row->io->reading) e->roofline.ns = e->roofline.read_gbps = (double)NAN;
    if (mb_io_optional(row, "roofline", e->measured && isfinite(e->roofline.ns))) {
        struct mb_io_object o = mb_io_object(row, "roofline");
        const bool none = mb_io_is_null(&o, "bound", !isfinite(e->roofline.ns));
        mb_io_number(&o, "flops", &e->info.flops, 1);
        o.blank = none;
        mb_io_number(&o, "us", &e->roofline.ns, us);
        mb_io_number(&o, "read_gbps", &e->roofline.read_gbps, 1);
        e->roofline.is_compute =
            mb_io_choice(&o, "bound", e->roofline.is_compute, bounds, N_BOUNDS, none) == 1;
        o.blank = false;
        mb_io_end(&o);
    }
    operations(row, e);
    if (mb_io_optional(row, "operations_reason", e->operations_reason != NULL))
        mb_io_text(row, "operations_reason", &e->operations_reason);
}
