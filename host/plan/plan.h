/* A program turned into steps, for any device: what is constant, what is fused, which kernel each
 * step has, and where every value lies. It holds no memory of tensors and runs nothing: a backend
 * reserves the two blocks and walks the lists.
 *
 * A step is a kernel with what follows it fused in (bias, ReLU, max-pooling), a chain of element
 * operations, or one operation on its own. Reshapes are no step: they share their operand's memory.
 * A value that only convolutions read and a convolution writes is NHWC inside, whatever the program
 * says, where the device takes that: its kernels read vectors of channels. What depends on weights
 * and constants alone is computed once, by the steps of `load`; the others are the steps of `run`.
 */
#ifndef MB_PLAN_H
#define MB_PLAN_H

#include "arena.h"
#include "program.h"
#include "status.h"
#include "step.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MB_NO_NODE UINT32_MAX
#define MB_NO_STEP UINT32_MAX

enum { MB_CHAIN_MOST = 16 }; /* nodes of a chain */

/* A kernel for a step, as the device chose it. */
struct mb_kernel_choice {
    const void *kernel; /* the device's own; NULL: the step is one operation on its own */
    const char *name;
    bool measured; /* the times: measured on the device (tuning.h), or estimated */
    double cost_ns;
    const char *runner_up; /* NULL: there was no other to choose from */
    double runner_up_ns;
    const char *left_out; /* kernels that could not be measured, "NAME: WHY; NAME: WHY"; NULL: none.
                             Borrowed from whoever chose */
    size_t packed_bytes, scratch_bytes;
};

/* Takes a kernel that supports the step into account: it replaces the choice or its runner-up when
 * it is cheaper. Of equals the first stays. Start from an all-zero choice. */
void mb_kernel_offer(struct mb_kernel_choice *choice, const void *kernel, const char *name,
                     double cost_ns);

/* What the planner asks of a device. */
struct mb_plan_device {
    void *self;
    const char *name; /* for messages */
    /* The best kernel for the step; all zero when none supports it. The texts outlive the plan. */
    enum mb_status (*choose)(void *self, enum mb_step_kind kind, const union mb_step_desc *desc,
                             struct mb_kernel_choice *out, struct mb_err *err);
    /* Whether some kernel takes a convolution whose x or y has another layout than its program.
     * NULL: none does, and every value has the program's layout. */
    bool (*takes_layouts)(void *self, const union mb_step_desc *desc);
    /* Whether the device has the operation on its own, on operands of this dtype. */
    bool (*has_operation)(const void *self, enum mb_op op, enum mb_dtype dtype);
    /* Scratch bytes of the operation on its own, on operands of these types. NULL: none need any.
     */
    size_t (*operation_scratch)(const void *self, const struct mb_node *node,
                                const struct mb_type *const *types);
    /* Scratch bytes of a chain of n operations. NULL: the device takes each on its own. */
    size_t (*chain_scratch)(const void *self, uint32_t n);
};

/* Where a value's bytes are. */
enum mb_place {
    MB_PLACE_NONE,    /* read by no step */
    MB_PLACE_INPUT,   /* caller's input `index` */
    MB_PLACE_OUTPUT,  /* caller's output `index` */
    MB_PLACE_WEIGHT,  /* caller's, of params[index], during load; nothing reads it later */
    MB_PLACE_DENSE,   /* in the program */
    MB_PLACE_PERSIST, /* persistent block + offset; a weight is copied there by load */
    MB_PLACE_WORK,    /* work block + offset, between its first and last step */
};

struct mb_place_of {       /* one for each node; only a root's places count */
    uint32_t root;         /* the node whose memory it shares: itself, or behind reshapes */
    bool live;             /* an output depends on it */
    bool constant;         /* depends on weights and constants alone */
    bool computed;         /* some step writes it */
    uint32_t n_uses, user; /* live users and outputs; the last one */
    uint32_t absorbed_by;  /* the last node of the fused chain it is inside of */
    uint32_t head;         /* of a chain's last node: the matmul or conv2d */
    uint32_t chain;        /* the last node of the chain of element operations it is in */

    enum mb_place place;
    uint32_t index;
    size_t offset, bytes;
    uint32_t first_step, last_step; /* of the run list, MB_NO_STEP: none */
    bool read_by_run;
};

struct mb_step {
    struct mb_kernel_choice choice;
    enum mb_step_kind kind; /* of a kernel's step */
    union mb_step_desc desc;
    uint32_t node;         /* whose value it computes; of a copy: the node copied */
    uint32_t head;         /* the matmul or conv2d of a kernel step */
    uint32_t x, w;         /* operands, MB_NO_NODE: none */
    uint32_t bias;         /* node or MB_NO_NODE; the third operand of an operation */
    const uint32_t *chain; /* n_chain > 0 nodes, ascending, the last is `node`: element operations
                              of one shape whose operands are each other's, or of a form that
                              mb_operand_form knows. x, w and bias are none */
    uint32_t n_chain;
    bool is_copy; /* to output `output` */
    uint32_t output;
    bool packs_in_run;     /* w or bias is known only then */
    size_t packed_offset;  /* in work where packs_in_run, else in persist */
    size_t scratch_offset; /* in work */
};

struct mb_step_list {
    struct mb_step *steps;
    uint32_t count;
};

struct mb_plan {
    struct mb_arena arena;
    const struct mb_program *program;
    struct mb_place_of *values;
    struct mb_step_list load, run;
    size_t persist_bytes, work_bytes; /* of the two blocks; offsets are multiples of 256 */
};

/* The program outlives the plan and has passed mb_program_check. */
enum mb_status mb_plan_new(const struct mb_program *program, const struct mb_plan_device *device,
                           struct mb_plan **out, struct mb_err *err);
void mb_plan_free(struct mb_plan *plan); /* NULL is fine */

/* One line a step: kernel, shapes, what is fused, measured or estimated time and the runner-up's;
 * then memory. Always terminated, cut to `size`. */
void mb_plan_text(const struct mb_plan *plan, char *buf, size_t size);

/* The step without its place and times: "matmul (32,784)x(784,512) + bias + relu", "reduce_sum:
 * tensor<f32[32]>". Always terminated, cut to `size`. */
void mb_step_text(const struct mb_plan *plan, const struct mb_step *step, char *buf, size_t size);

/* What a step moves and computes (mb_operation). `products`: multiplications of a kernel for each
 * one of the direct algorithm. */
struct mb_step_cost {
    double bytes, flops;
};
struct mb_step_cost mb_step_cost(const struct mb_plan *plan, const struct mb_step *step,
                                 double products);

#ifdef __cplusplus
}
#endif
#endif
