/* Which function is compiled, how its parameters become the program's, and what is left to say
 * about it. */
#include "checker.h"
#include "vec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_OUTPUTS = 1024 };

/* Gives a free dimension of the entry's signature its extent: from --bind, or as a symbol.
 */
static void bind_entry_symbol(struct mb_check *c, const struct mb_ast_dim *d) {
    for (size_t i = 0; i < c->source->n_bindings; i++)
        if (c->bound_names[i] == d->name) {
            int64_t extent = c->source->bindings[i].extent;
            if (!mb_check_extent(c, extent, d->at)) extent = MB_DIM_UNKNOWN;
            mb_check_bind(c, d->name, mb_extent_value(extent), true);
            return;
        }
    if (!c->symbolic) {
        struct mb_diag_record *r = mb_check_error(
            c, d->at, "E2001", NULL, "dimension `%.*s` is not bound", MB_NAME_TEXT(c, d->name));
        mb_diags_help(c->diags, r, "--bind %.*s=N", MB_NAME_TEXT(c, d->name));
        mb_check_bind(c, d->name, mb_extent_value(MB_DIM_UNKNOWN), true);
        return;
    }
    const struct mb_name *n = &c->names->list[d->name];
    char *text = mb_arena_strndup(c->arena, n->text, n->len);
    const char **symbols = mb_vec_room(c->symbols, &c->symbol_cap, c->n_symbols,
                                       (uint64_t)c->n_symbols + 1, sizeof *symbols);
    if (symbols) c->symbols = symbols;
    if (!text || !symbols) {
        c->failed = c->stop = true;
        return;
    }
    mb_check_bind(c, d->name, mb_extent_value(-1 - (int64_t)c->n_symbols), true);
    c->symbols[c->n_symbols++] = text;
}

static uint32_t leading_name(const struct mb_ast_type *t) {
    return t->kind == MB_TYPE_TENSOR && t->dims ? t->dims->name : MB_NO_NAME;
}

/* Makes symbols of the free dimensions of a parameter's tensors, and counts these. False when
 * reported. */
static bool scan_param(struct mb_check *c, const struct mb_ast_type *t, struct mb_ast_span at,
                       unsigned depth, uint32_t *n_tensors) {
    struct mb_part parts[MB_MAX_TUPLE];
    const struct mb_ast_item *item;
    if (!mb_check_spend(c, 1, at) || !(t = mb_resolve_alias(c, t))) return false;
    const uint32_t n = mb_type_parts(c, t, parts, &item);
    if (n == MB_NO_INDEX) {
        for (const struct mb_ast_dim *d = t->dims; d; d = d->next) {
            int64_t extent;
            if (d->name != MB_NO_NAME && mb_named_extent(c, d, &extent) == MB_EXTENT_FREE)
                bind_entry_symbol(c, d);
        }
        ++*n_tensors;
        return true;
    }
    if (n > MB_MAX_TUPLE || depth == MB_MAX_TUPLE_DEPTH) {
        mb_check_outside(c, at, "E2001",
                         n > MB_MAX_TUPLE
                             ? "a parameter of more than %d parts is outside the inference subset"
                             : "tuples and structs of a parameter nest more than %d deep",
                         n > MB_MAX_TUPLE ? (int)MB_MAX_TUPLE : (int)MB_MAX_TUPLE_DEPTH);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; item && k < i; k++)
            if (parts[k].name == parts[i].name) {
                mb_check_error(c, parts[i].at, "E2001", NULL, "field `%.*s` is declared twice",
                               MB_NAME_TEXT(c, parts[i].name));
                return false;
            }
        if (!scan_param(c, parts[i].type, item ? parts[i].at : at, depth + 1, n_tensors))
            return false;
    }
    return true;
}

/* "params.fc1" or "pair.0"; NULL when that cannot be had. */
static const char *part_name(struct mb_check *c, const char *whole, const struct mb_part *part,
                             uint32_t index) {
    char digits[16];
    const char *text = digits;
    const size_t whole_len = strlen(whole);
    size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu32, index);
    if (part->name != MB_NO_NAME) {
        text = c->names->list[part->name].text;
        len = c->names->list[part->name].len;
    }
    /* long names of many parts count, so that memory stays linear in the source */
    if (!mb_check_spend(c, (whole_len + len) / 16 + 1, part->at)) return NULL;
    const size_t size = whole_len + len + 2;
    char *name = mb_arena_calloc(c->arena, size, 1);
    if (!name) {
        c->failed = c->stop = true;
        return NULL;
    }
    snprintf(name, size, "%s.%.*s", whole, (int)len, text);
    return name;
}

/* A parameter's value: each of its tensors is one of the program's parameters, whose leading
 * dimension's name goes to `leading`. */
static struct mb_value make_param(struct mb_check *c, const struct mb_ast_type *t, const char *name,
                                  struct mb_ast_span at, uint32_t *leading) {
    struct mb_part parts[MB_MAX_TUPLE];
    const struct mb_ast_item *item;
    struct mb_type type;
    const struct mb_ast_dim *free_dim;
    if (!name || !(t = mb_resolve_alias(c, t))) return mb_bad();
    const uint32_t n = mb_type_parts(c, t, parts, &item);
    if (n == MB_NO_INDEX) {
        if (t->kind == MB_TYPE_OTHER || (t->kind == MB_TYPE_NAME && mb_check_item(c, t->name)))
            return mb_check_outside(c, at, "E2001",
                                    "a parameter of this type is outside the inference subset");
        if (!mb_tensor_type(c, t, false, &type, &free_dim)) return mb_bad();
        union mb_attr attr = {.param = {c->n_params}};
        struct mb_value v = mb_emit(c, MB_OP_PARAM, NULL, &attr, &type, at);
        leading[c->n_params] = leading_name(t);
        c->params[c->n_params++] =
            (struct mb_param){.name = name, .type = type, .role = MB_WEIGHT, .node = v.u.node};
        return v;
    }
    if (n == 0 && !item) return (struct mb_value){.kind = MB_VALUE_NONE};
    struct mb_tuple *tuple = mb_tuple_new(c, n);
    bool sound = tuple != NULL;
    if (tuple) tuple->type = item;
    for (uint32_t i = 0; i < n && tuple && !c->stop; i++) {
        struct mb_value v = make_param(c, parts[i].type, part_name(c, name, &parts[i], i),
                                       item ? parts[i].at : at, leading);
        sound &= v.kind != MB_VALUE_BAD && mb_tuple_put(c, tuple, i, v, at);
    }
    if (!sound || c->stop) return mb_bad();
    return (struct mb_value){.kind = item ? MB_VALUE_STRUCT : MB_VALUE_TUPLE, .u.tuple = tuple};
}

/* The rule of program.h; `first` is the input that decides. */
static void give_roles(struct mb_check *c, const uint32_t *leading, uint32_t first) {
    for (uint32_t i = 0; i < c->n_params; i++)
        if (i == first || (leading[first] != MB_NO_NAME && leading[i] == leading[first]))
            c->params[i].role = MB_INPUT;
}

/* The entry's parameters become the program's. */
static bool bind_entry_params(struct mb_check *c, const struct mb_ast_item *fn) {
    uint32_t n_tensors = 0, first = MB_NO_INDEX;
    bool sound = true;
    c->n_params = 0;
    for (const struct mb_ast_param *q = fn->params; q; q = q->next)
        if (!scan_param(c, q->type, q->at, 0, &n_tensors)) return false;
    c->params = mb_arena_calloc(c->arena, n_tensors, sizeof *c->params);
    uint32_t *leading = mb_arena_calloc(c->arena, n_tensors, sizeof *leading);
    if (!c->params || !leading) {
        c->failed = c->stop = true;
        return false;
    }
    uint32_t first_param = c->n_locals;
    for (const struct mb_ast_param *q = fn->params; q && !c->stop; q = q->next) {
        const struct mb_name *n = &c->names->list[q->name];
        const char *name = mb_arena_strndup(c->arena, n->text, n->len);
        if (!name) c->failed = c->stop = true;
        struct mb_value v = make_param(c, q->type, name, q->at, leading);
        if (first == MB_NO_INDEX && v.kind == MB_VALUE_TENSOR) first = c->n_params - 1;
        uint32_t same = n->binding;
        if (same != MB_NO_INDEX && same >= first_param) {
            mb_check_error(c, q->at, "E2001", NULL, "parameter `%.*s` is declared twice",
                           MB_NAME_TEXT(c, q->name));
            sound = false;
        }
        sound &= v.kind != MB_VALUE_BAD;
        mb_check_bind(c, q->name, v, false);
    }
    if (c->n_params) give_roles(c, leading, first == MB_NO_INDEX ? 0 : first);
    return sound && !c->stop;
}

/* A binding must name something, or the run is not what its caller believes. */
static void check_bindings(struct mb_check *c, const struct mb_ast_item *fn) {
    for (size_t i = 0; i < c->source->n_bindings; i++) {
        uint32_t name = c->bound_names[i];
        const struct mb_ast_item *item = name == MB_NO_NAME ? NULL : mb_check_item(c, name);
        const struct mb_local *local = name == MB_NO_NAME ? NULL : mb_check_local(c, name);
        if ((item && item->kind == MB_ITEM_CONST) || (local && local->is_symbol) || !fn) continue;
        char known[256] = "";
        size_t len = 0;
        for (uint32_t k = c->frame->first_local; k < c->n_locals && len < sizeof known; k++)
            if (c->locals[k].is_symbol)
                len += (size_t)snprintf(known + len, sizeof known - len, "%s%.*s", len ? ", " : "",
                                        MB_NAME_TEXT(c, c->locals[k].name));
        for (const struct mb_ast_item *it = c->file->items; it && len < sizeof known; it = it->next)
            if (it->kind == MB_ITEM_CONST)
                len += (size_t)snprintf(known + len, sizeof known - len, "%s%.*s", len ? ", " : "",
                                        MB_NAME_TEXT(c, it->name));
        struct mb_diag_record *r = mb_check_error(
            c, (struct mb_ast_span){MB_NOWHERE, MB_NOWHERE}, "E2002", NULL,
            "--bind %.48s: no dimension or const of that name", c->source->bindings[i].name);
        if (known[0])
            mb_diags_help(c->diags, r, "known names: %s", known);
        else
            mb_diags_help(c->diags, r, "the program has no name to bind");
    }
}

/* The program's outputs are the result's tensors, in order. False when reported. */
static bool collect_outputs(struct mb_check *c, struct mb_value v, struct mb_ast_span at) {
    if (!mb_check_spend(c, 1, at)) return false;
    if (v.kind == MB_VALUE_TUPLE || v.kind == MB_VALUE_STRUCT) {
        for (uint32_t i = 0; i < v.u.tuple->n; i++)
            if (!collect_outputs(c, v.u.tuple->item[i], at)) return false;
        return true;
    }
    uint32_t node;
    if (c->n_outputs == MAX_OUTPUTS) {
        mb_check_error(c, at, "E2620", NULL, "more than %d results", MAX_OUTPUTS);
        return false;
    }
    if (v.kind == MB_VALUE_NONE) {
        if (!c->symbolic) mb_check_error(c, at, "E2010", NULL, "the entry returns nothing");
        return false;
    }
    if (!mb_value_tensor(c, v, at, NULL, &node)) return false;
    uint32_t *outputs = mb_vec_room(c->outputs, &c->output_cap, c->n_outputs,
                                    (uint64_t)c->n_outputs + 1, sizeof *outputs);
    if (!outputs) {
        c->failed = c->stop = true;
        return false;
    }
    c->outputs = outputs;
    c->outputs[c->n_outputs++] = node;
    return true;
}

static void begin_entry(struct mb_check *c, struct mb_frame *frame) {
    c->frame = frame;
    c->n_nodes = c->n_symbols = c->n_params = c->n_outputs = 0;
    c->depth = c->n_random = 0;
    c->want = NULL;
    c->spelling = MB_TOK_END;
}

static void end_entry(struct mb_check *c) {
    mb_check_unbind(c, 0);
    c->frame = NULL;
}

static void run_function(struct mb_check *c, const struct mb_ast_item *fn) {
    struct mb_frame frame = {.fn = fn, .call = {MB_NOWHERE, MB_NOWHERE}};
    begin_entry(c, &frame);
    if (fn->is_generic) {
        mb_check_outside(c, fn->name_at, "E2001",
                         "`%.*s` has type parameters, which are outside the inference subset",
                         MB_NAME_TEXT(c, fn->name));
    } else if (bind_entry_params(c, fn)) {
        check_bindings(c, fn);
        struct mb_value v = mb_check_body(c, fn);
        if (!c->stop) collect_outputs(c, v, fn->name_at);
    }
    end_entry(c);
}

/* Top-level names stay bound in the script's own frame only: functions do not see them. */
static void run_script(struct mb_check *c) {
    struct mb_frame frame = {.call = {MB_NOWHERE, MB_NOWHERE}};
    struct mb_value v = {.kind = MB_VALUE_NONE};
    begin_entry(c, &frame);
    check_bindings(c, NULL);
    mb_check_block(c, &c->file->script, &v);
    if (frame.returned) v = frame.result;
    if (!c->stop) collect_outputs(c, v, c->file->script.at);
    end_entry(c);
}

static void register_items(struct mb_check *c) {
    for (struct mb_ast_item *item = c->file->items; item; item = item->next) {
        struct mb_name *n = &c->names->list[item->name];
        const struct mb_ast_item *old = mb_check_item(c, item->name);
        if (old && (item->kind == MB_ITEM_IMPORT || old->kind != MB_ITEM_IMPORT)) {
            if (item->kind != MB_ITEM_IMPORT)
                mb_check_error(c, item->name_at, "E2001", NULL, "`%.*s` is defined twice",
                               MB_NAME_TEXT(c, item->name));
            continue;
        }
        n->item = item;
        n->item_epoch = c->names->epoch;
        if (item->kind != MB_ITEM_FN) continue;
        if (n->len == 4 && memcmp(n->text, "sqrt", 4) == 0)
            mb_check_error(c, item->name_at, "E2031", NULL, "`sqrt` may not be redefined");
        if (n->len >= 7 && memcmp(n->text, "__mind_", 7) == 0)
            mb_check_error(c, item->name_at, "E2023", NULL, "names in `__mind_` are reserved");
    }
}

static const struct mb_ast_item *named_entry(struct mb_check *c) {
    const char *text = c->source->entry;
    size_t len = strlen(text);
    struct mb_ast_span nowhere = {MB_NOWHERE, MB_NOWHERE};
    uint32_t name = len < UINT32_MAX ? mb_names_find(c->names, text, (uint32_t)len) : MB_NO_NAME;
    const struct mb_ast_item *item = name == MB_NO_NAME ? NULL : mb_check_item(c, name);
    if (item && item->kind == MB_ITEM_FN) return item;
    struct mb_diag_record *r = mb_check_error(
        c, nowhere, "E2002", "E2002", "no function `%.*s` to compile", mb_diags_clip(len), text);
    const struct mb_ast_item *near = NULL;
    unsigned best = 3;
    for (item = c->file->items; item && best; item = item->next) {
        const struct mb_name *n = &c->names->list[item->name];
        unsigned d = item->kind == MB_ITEM_FN ? mb_edit_distance(text, len, n->text, n->len, best)
                                              : best + 1;
        if (d > best) continue;
        near = item;
        best = d - (d > 0);
    }
    if (near) mb_diags_help(c->diags, r, "did you mean `%.*s`?", MB_NAME_TEXT(c, near->name));
    return NULL;
}

/* The only `pub fn`, else the only `fn`, else `main`; NULL: none can be chosen. */
static const struct mb_ast_item *default_entry(const struct mb_check *c) {
    const struct mb_ast_item *pub = NULL, *any = NULL, *main_fn = NULL;
    uint32_t n_pub = 0, n_any = 0;
    for (const struct mb_ast_item *item = c->file->items; item; item = item->next) {
        if (item->kind != MB_ITEM_FN) continue;
        any = item;
        n_any++;
        if (item->is_pub) {
            pub = item;
            n_pub++;
        }
        if (item->name == MB_NAME_MAIN) main_fn = item;
    }
    return n_pub == 1 ? pub : n_any == 1 ? any : main_fn;
}

static void refuse_to_choose(struct mb_check *c) {
    struct mb_ast_span nowhere = {MB_NOWHERE, MB_NOWHERE};
    char known[256] = "";
    size_t len = 0;
    for (const struct mb_ast_item *it = c->file->items; it && len < sizeof known; it = it->next)
        if (it->kind == MB_ITEM_FN)
            len += (size_t)snprintf(known + len, sizeof known - len, "%s%.*s", len ? ", " : "",
                                    MB_NAME_TEXT(c, it->name));
    struct mb_diag_record *r =
        mb_check_error(c, nowhere, "E2002", NULL,
                       len ? "several functions and no `main`: no entry to compile"
                           : "no function and no statement: nothing to compile");
    if (len) mb_diags_help(c->diags, r, "--entry NAME, one of: %s", known);
}

void mb_check_run(struct mb_check *c, uint32_t *entry) {
    *entry = MB_NAME_MAIN;
    c->every_function = false;
    register_items(c);
    if (c->diags->n_errors) return;
    const struct mb_ast_item *fn = NULL;
    if (c->source->entry) {
        fn = named_entry(c);
        if (!fn) return;
    } else if (c->file->script.first) {
        run_script(c);
        return;
    } else {
        fn = default_entry(c);
    }
    if (fn) {
        *entry = fn->name;
        run_function(c, fn);
    } else if (!c->symbolic) {
        refuse_to_choose(c);
    } else {
        c->every_function = true;
        for (fn = c->file->items; fn && !c->stop; fn = fn->next)
            if (fn->kind == MB_ITEM_FN) run_function(c, fn);
    }
}
