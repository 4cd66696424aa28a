#include "origin.h"

#include "sha256.h"

#include <stdio.h>
#include <string.h>

void mb_describe_program(const struct mb_program *p, struct mb_arena *arena,
                         struct mb_benchmark_result *out) {
    char text[1024] = "", type[160];
    size_t used = 0;
    out->flops = mb_program_flops(p);
    out->bytes = mb_program_bytes(p);
    out->batch = 1;
    for (uint32_t i = p->n_params; i-- > 0;)
        if (p->params[i].role == MB_INPUT && p->params[i].type.shape.rank > 0)
            out->batch = p->params[i].type.shape.dim[0];
    for (uint32_t i = 0; i < p->n_params && used < sizeof text; i++) {
        int wrote =
            snprintf(text + used, sizeof text - used, "%s%s: %s %s", i ? ", " : "",
                     p->params[i].name, mb_type_text(type, sizeof type, &p->params[i].type, NULL),
                     p->params[i].role == MB_INPUT ? "input" : "weight");
        if (wrote < 0) break;
        used += (size_t)wrote;
    }
    out->params_text = mb_arena_strndup(arena, text, strlen(text));
}

static const char *hash_params(const struct mb_program *p, void *const *params, enum mb_role role,
                               struct mb_arena *arena) {
    struct mb_sha256 hash;
    char hex[MB_SHA256_HEX], type[160];
    mb_sha256_init(&hash);
    for (uint32_t i = 0; i < p->n_params; i++) {
        size_t bytes = 0;
        if (p->params[i].role != role || !mb_type_bytes(&p->params[i].type, &bytes)) continue;
        mb_type_text(type, sizeof type, &p->params[i].type, NULL);
        mb_sha256_add(&hash, p->params[i].name, strlen(p->params[i].name) + 1);
        mb_sha256_add(&hash, type, strlen(type) + 1);
        mb_sha256_add(&hash, params[i], bytes);
    }
    mb_sha256_hex(&hash, hex);
    return mb_arena_strndup(arena, hex, strlen(hex));
}

/* The bindings outlive the command line that they came from. */
static bool copy_bindings(const struct mb_mind_source *source, struct mb_arena *arena,
                          struct mb_origin *out) {
    out->n_bindings = source->n_bindings;
    out->bindings = mb_arena_calloc(arena, out->n_bindings, sizeof *out->bindings);
    for (size_t i = 0; out->bindings && i < out->n_bindings; i++) {
        const char *name = source->bindings[i].name;
        out->bindings[i].extent = source->bindings[i].extent;
        out->bindings[i].name = mb_arena_strndup(arena, name, strlen(name));
        if (!out->bindings[i].name) return false;
    }
    return out->bindings != NULL;
}

enum mb_status mb_origin_of(const struct mb_mind_source *source, const struct mb_program *program,
                            void *const *params, bool given, struct mb_arena *arena,
                            struct mb_origin *out, struct mb_err *err) {
    struct mb_origin o = {.given = given};
    char hex[MB_SHA256_HEX];
    mb_sha256_of(source->text, source->len, hex);
    o.source_sha256 = mb_arena_strndup(arena, hex, strlen(hex));
    o.weights_sha256 = hash_params(program, params, MB_WEIGHT, arena);
    o.inputs_sha256 = hash_params(program, params, MB_INPUT, arena);
    if (source->entry) o.entry = mb_arena_strndup(arena, source->entry, strlen(source->entry));
    if (!copy_bindings(source, arena, &o) || !o.source_sha256 || !o.weights_sha256 ||
        !o.inputs_sha256 || (source->entry && !o.entry))
        return mb_fail(err, MB_E_NOMEM, "no memory for the origin");
    *out = o;
    return MB_OK;
}
