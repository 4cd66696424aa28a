#include "remake.h"

#include "file.h"
#include "machine.h"
#include "mind.h"
#include "origin.h"
#include "sha256.h"
#include "tensors.h"
#include "workloads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t max_source_bytes = (size_t)64 << 20;
enum { MAX_NAME = 128 };

struct remake {
    const struct mb_result *result;
    const struct mb_benchmark_result *b;
    bool strict;
    struct mb_verification *v;
    struct mb_mind_source source;
    struct mb_mind_binding *bindings;
    char *text; /* of a file */
};

/* Something in `what` of this benchmark that is not so, or that could not be compared. */
#define FIND(r, deviation, what, ...)                                                              \
    find((r), (deviation), (what), (const char *[]){__VA_ARGS__, "", ""})

static void find(const struct remake *r, bool deviation, const char *what,
                 const char *const *words) {
    mb_verify_find(r->v, deviation, "benchmarks.%.120s.%s: %s%.120s%s", r->b->name, what, words[0],
                   words[1], words[2]);
}

/* The text of the program; false when it is not to be had. */
static bool find_source(struct remake *r) {
    char name[MAX_NAME];
    struct mb_err err;
    r->source.file = r->b->file ? r->b->file : r->b->name;
    if (r->b->file) {
        if (mb_file_read(r->b->file, max_source_bytes, &r->text, &r->source.len, &err) == MB_OK) {
            r->source.text = r->text;
            return true;
        }
        FIND(r, false, "origin", "the program is not here, so that it is not compared: ", err.text);
        return false;
    }
    snprintf(name, sizeof name, "%.*s", (int)strcspn(r->b->name, "["), r->b->name);
    const struct mb_workload *workload = mb_workload_find(name);
    if (!workload) {
        FIND(r, r->strict, "file", "there is none, and no workload has this name");
        return false;
    }
    r->source.text = workload->text;
    r->source.len = workload->len;
    return true;
}

static void compare_hash(const struct remake *r, bool deviation, const char *what, const char *says,
                         const char *formed, const char *of) {
    if (strcmp(says, formed) != 0) FIND(r, deviation, what, "is not the hash of ", of);
}

static void compare_number(const struct remake *r, const char *what, double says, double formed) {
    char text[80];
    snprintf(text, sizeof text, "says %.15g, the program has %.15g", says, formed);
    if (says != formed && !(isnan(says) && isnan(formed))) FIND(r, r->strict, what, text);
}

static void compare_program(const struct remake *r, const struct mb_program *program) {
    struct mb_benchmark_result formed = {0};
    mb_describe_program(program, &r->v->arena, &formed);
    compare_number(r, "batch_size", (double)r->b->batch, (double)formed.batch);
    compare_number(r, "flops", r->b->flops, formed.flops);
    compare_number(r, "bytes", r->b->bytes, formed.bytes);
    if (!r->b->params_text || !formed.params_text ||
        strcmp(r->b->params_text, formed.params_text) != 0)
        FIND(r, r->strict, "params", "are not those of the program");
}

/* Whether making the data again leaves this machine enough memory. */
static bool fits(const struct mb_program *program) {
    struct mb_machine machine;
    size_t total = 0;
    for (uint32_t i = 0; i < program->n_params; i++) {
        size_t bytes = 0;
        if (!mb_type_bytes(&program->params[i].type, &bytes) ||
            __builtin_add_overflow(total, bytes, &total))
            return false;
    }
    return mb_machine_read(NULL, &machine, NULL) == MB_OK &&
           (machine.memory_free_bytes < 0 || total < (size_t)machine.memory_free_bytes / 2);
}

static void compare_data(const struct remake *r, const struct mb_program *program) {
    const struct mb_origin *says = &r->b->origin;
    struct mb_shared params = {.fd = -1};
    struct mb_origin formed;
    struct mb_err err = {.text = "more than half of the free memory"};
    if (says->given) {
        FIND(r, false, "origin.data", "some came from the user's files and is not compared");
        return;
    }
    if (!fits(program) || mb_shared_params(program, -1, true, &params, &err) != MB_OK) {
        FIND(r, false, "origin", "the data is too large to make again: ", err.text);
        return;
    }
    mb_tensors_fill(program, r->result->seed, params.data);
    if (mb_origin_of(&r->source, program, params.data, false, &r->v->arena, &formed, &err) ==
        MB_OK) {
        compare_hash(r, r->strict, "origin.weights_sha256", says->weights_sha256,
                     formed.weights_sha256, "the weights that the seed makes");
        compare_hash(r, r->strict, "origin.inputs_sha256", says->inputs_sha256,
                     formed.inputs_sha256, "the inputs that the seed makes");
    } else {
        r->v->failed = true;
    }
    mb_shared_close(&params);
}

static void compile(struct remake *r) {
    struct mb_mind *mind = NULL;
    const struct mb_program *program = NULL;
    struct mb_err err;
    enum mb_status st = mb_mind_open(&mind, &err);
    if (st == MB_OK) st = mb_mind_compile(mind, &r->source, &program, &err);
    if (st == MB_OK) {
        compare_program(r, program);
        compare_data(r, program);
    } else {
        FIND(r, r->strict, "origin", "the program does not compile as the result says: ", err.text);
    }
    mb_mind_close(mind);
}

void mb_remake(const struct mb_result *result, const struct mb_benchmark_result *b, bool strict,
               struct mb_verification *v) {
    const struct mb_origin *o = &b->origin;
    struct remake r = {.result = result, .b = b, .strict = strict, .v = v};
    char hash[MB_SHA256_HEX];
    if (!o->source_sha256) {
        FIND(&r, false, "origin", "there is none; program, weights and inputs are not compared");
        return;
    }
    r.bindings = calloc(o->n_bindings + 1, sizeof *r.bindings);
    if (!r.bindings) {
        v->failed = true;
        return;
    }
    for (size_t i = 0; i < o->n_bindings; i++)
        r.bindings[i] = (struct mb_mind_binding){o->bindings[i].name, o->bindings[i].extent};
    r.source.entry = o->entry;
    r.source.bindings = r.bindings;
    r.source.n_bindings = o->n_bindings;
    r.source.seed = result->seed;
    if (find_source(&r)) {
        mb_sha256_of(r.source.text, r.source.len, hash);
        compare_hash(&r, strict || b->file, "origin.source_sha256", o->source_sha256, hash,
                     b->file ? "the file that is there now" : "this version's workload");
        if (strcmp(o->source_sha256, hash) == 0) compile(&r);
    }
    free(r.text);
    free(r.bindings);
}
