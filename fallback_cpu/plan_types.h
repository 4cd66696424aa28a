/* The inside of a plan, shared by plan*.c alone. */
#ifndef MB_PLAN_TYPES_H
#define MB_PLAN_TYPES_H

#include "generic.h"
#include "kernel.h"
#include "plan.h"

#include <stdbool.h>

#define MB_NO_NODE UINT32_MAX
#define MB_NO_STEP UINT32_MAX

/* Where a value's bytes are. */
enum mb_place {
    MB_PLACE_NONE,    /* read by no step */
    MB_PLACE_INPUT,   /* caller's input `index` */
    MB_PLACE_OUTPUT,  /* caller's output `index` */
    MB_PLACE_WEIGHT,  /* caller's, of params[index], during load; nothing reads it later */
    MB_PLACE_DENSE,   /* in the program */
    MB_PLACE_PERSIST, /* plan->persist + offset; a weight is copied there by load */
    MB_PLACE_WORK,    /* plan->work + offset, between its first and last step */
};

struct mb_value {          /* one for each node; only a root's places count */
    uint32_t root;         /* the node whose memory it shares: itself, or behind reshapes */
    bool live;             /* an output depends on it */
    bool constant;         /* depends on weights and constants alone */
    bool computed;         /* some step writes it */
    uint32_t n_uses, user; /* live users and outputs; the last one */
    uint32_t absorbed_by;  /* the last node of the fused chain it is inside of */
    uint32_t head;         /* of a chain's last node: the matmul or conv2d */

    enum mb_place place;
    uint32_t index;
    size_t offset, bytes;
    uint32_t first_step, last_step; /* of the run list, MB_NO_STEP: none */
    bool read_by_run;
};

struct mb_step {
    const struct mb_cpu_kernel *kernel; /* NULL: generic */
    union mb_step_desc desc;
    mb_generic_fn *generic;
    uint32_t node; /* whose value it computes; of a copy: the node copied */
    uint32_t head; /* the matmul or conv2d of a kernel step */
    uint32_t x, w; /* operands, MB_NO_NODE: none */
    uint32_t bias; /* node or MB_NO_NODE */
    bool is_copy;  /* to output `output` */
    uint32_t output;
    bool packs_in_run;                    /* w or bias is known only then */
    size_t packed_offset, packed_bytes;   /* in work where packs_in_run, else in persist */
    size_t scratch_offset, scratch_bytes; /* in work */
    double cost_ns, runner_up_ns;
    const struct mb_cpu_kernel *runner_up; /* NULL: no other kernel supports it */
};

struct mb_step_list {
    struct mb_step *steps;
    uint32_t count;
};

struct mb_block {
    void *memory; /* what the allocator gave */
    char *base;   /* 64-byte aligned */
    size_t bytes;
};

struct mb_plan {
    struct mb_arena arena;
    const struct mb_program *program;
    int n_threads;
    enum mb_isa isa;
    struct mb_value *values;
    struct mb_step_list load, run;
    struct mb_block persist, work;
    bool divided_by_zero;
    bool loaded;

    /* Of the call in progress. */
    const void *const *weights;
    const void *const *inputs;
    void *const *outputs;
};

/* plan_memory.c: places for all values, packed weights and scratch, and the two blocks. */
enum mb_status mb_plan_place(struct mb_plan *plan, struct mb_err *err);

#endif
