#include "chain.h"

#include "generic_index.h"
#include "plan.h"

#include <string.h>

/* Elements of a block: long against the calls it takes, and some blocks of f32 fit next to the
 * core.
 */
enum { BLOCK = 2048, MOST_BYTES = 8 * BLOCK };

/* An operand: computed by the chain, or in memory. */
struct source {
    const char *base;
    enum mb_operand_form form;
    int64_t size; /* of an element */
    bool inside;  /* base is a block */
};

/* One operation and its types as those of a block. */
struct link {
    mb_generic_fn *fn;
    struct mb_node node;
    struct mb_type types[MB_MAX_OPERANDS];
    struct source sources[MB_MAX_OPERANDS];
    char *y; /* its block; NULL: the result's */
};

struct chain {
    struct link links[MB_CHAIN_MOST];
    uint32_t n;
    int64_t rows, columns;             /* of the result */
    int64_t block_rows, block_columns; /* the one is 1 or the other is whole */
};

size_t mb_chain_scratch(uint32_t n, int n_threads) {
    return (size_t)n * (size_t)n_threads * MOST_BYTES;
}

static uint32_t position_of(const struct mb_chain_args *args, uint32_t node) {
    uint32_t i = 0;
    while (i < args->n && args->nodes[i] != node) i++;
    return i;
}

/* The last operation that reads each one's result. */
static void find_last_reads(const struct mb_chain_args *args, uint32_t last[MB_CHAIN_MOST]) {
    for (uint32_t i = 0; i < args->n; i++) {
        const struct mb_node *node = &args->program->nodes[args->nodes[i]];
        for (uint32_t k = 0; k < node->n_operands; k++) {
            const uint32_t at = position_of(args, node->operand[k]);
            if (at < i) last[at] = i;
        }
    }
}

/* A block that no operation from `at` on reads any more; the lowest, which is warm. */
static uint32_t free_block(uint32_t at, const uint32_t last[MB_CHAIN_MOST],
                           const uint32_t block[MB_CHAIN_MOST]) {
    for (uint32_t b = 0;; b++) {
        bool taken = false;
        for (uint32_t i = 0; i < at; i++) taken |= block[i] == b && last[i] >= at;
        if (!taken) return b;
    }
}

static void open_chain(const struct mb_chain_args *args, char *scratch, struct chain *c) {
    const struct mb_node *nodes = args->program->nodes;
    const struct mb_shape *shape = &nodes[args->nodes[args->n - 1]].type.shape;
    uint32_t last[MB_CHAIN_MOST] = {0}, block[MB_CHAIN_MOST] = {0};
    c->n = args->n;
    c->columns = shape->dim[shape->rank - 1];
    c->rows = mb_count_of(shape) / c->columns;
    c->block_columns = mb_min_i64(c->columns, BLOCK);
    c->block_rows = c->columns < BLOCK ? mb_min_i64(c->rows, BLOCK / c->columns) : 1;
    find_last_reads(args, last);
    for (uint32_t i = 0; i < c->n; i++) {
        struct link *link = &c->links[i];
        link->node = nodes[args->nodes[i]];
        link->fn =
            mb_generic_find(args->isa, link->node.op, nodes[link->node.operand[0]].type.dtype);
        block[i] = free_block(i, last, block);
        link->y = i + 1 < c->n ? scratch + block[i] * MOST_BYTES : NULL;
        for (uint32_t k = 0; k < link->node.n_operands; k++) {
            const struct mb_type *type = &nodes[link->node.operand[k]].type;
            const uint32_t at = position_of(args, link->node.operand[k]);
            struct source *source = &link->sources[k];
            link->types[k].dtype = type->dtype;
            source->size = (int64_t)mb_dtype_size(type->dtype);
            source->inside = at < i;
            source->form = source->inside ? MB_FORM_WHOLE : mb_operand_form(&type->shape, shape);
            source->base =
                source->inside ? c->links[at].y : args->address(args->self, link->node.operand[k]);
        }
    }
}

struct piece {
    int64_t row, column, rows, columns;
};

static const char *source_at(const struct chain *c, const struct source *s, const struct piece *p) {
    switch (s->form) {
    case MB_FORM_WHOLE:
        return s->inside ? s->base : s->base + (p->row * c->columns + p->column) * s->size;
    case MB_FORM_ROW: return s->base + p->column * s->size;
    case MB_FORM_COLUMN: return s->base + p->row * s->size;
    default: return s->base;
    }
}

/* An operand's shape beside a block of y. */
static struct mb_shape shape_at(enum mb_operand_form form, const struct piece *p) {
    switch (form) {
    case MB_FORM_WHOLE: return (struct mb_shape){2, {p->rows, p->columns}};
    case MB_FORM_ROW: return (struct mb_shape){1, {p->columns}};
    case MB_FORM_COLUMN: return (struct mb_shape){2, {p->rows, 1}};
    default: return (struct mb_shape){0, {0}};
    }
}

static void run_piece(const struct mb_chain_args *args, struct chain *c, const struct piece *p) {
    static const struct mb_thread alone = {0, 1};
    const int64_t y_size = (int64_t)mb_dtype_size(c->links[c->n - 1].node.type.dtype);
    char *y = (char *)args->y + (p->row * c->columns + p->column) * y_size;
    for (uint32_t i = 0; i < c->n; i++) {
        struct link *link = &c->links[i];
        struct mb_generic_args call = {.node = &link->node,
                                       .y = link->y ? link->y : y,
                                       .divided_by_zero = args->divided_by_zero};
        link->node.type.shape = shape_at(MB_FORM_WHOLE, p);
        for (uint32_t k = 0; k < link->node.n_operands; k++) {
            link->types[k].shape = shape_at(link->sources[k].form, p);
            call.types[k] = &link->types[k];
            call.operands[k] = source_at(c, &link->sources[k], p);
        }
        link->fn(&call, &alone);
    }
}

void mb_chain_run(const struct mb_chain_args *args, const struct mb_thread *thread) {
    struct chain c;
    open_chain(args, (char *)args->scratch + (size_t)thread->index * args->n * MOST_BYTES, &c);
    const int64_t across = (c.columns + c.block_columns - 1) / c.block_columns;
    const int64_t down = (c.rows + c.block_rows - 1) / c.block_rows;
    int64_t at, end;
    for (mb_share(thread, across * down, &at, &end); at < end; at++) {
        struct piece p = {.row = at / across * c.block_rows,
                          .column = at % across * c.block_columns};
        p.rows = mb_min_i64(c.block_rows, c.rows - p.row);
        p.columns = mb_min_i64(c.block_columns, c.columns - p.column);
        run_piece(args, &c, &p);
    }
}
