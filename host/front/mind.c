/* The compiler context: runs the stages, keeps the memory from one compile to the next. */
#include "checker.h"
#include "clock.h"
#include "vec.h"

#include <string.h>

struct mb_mind {
    struct mb_arena arena;
    struct mb_names names;
    struct mb_lexer lexer;
    struct mb_ast_file file;
    struct mb_check check;
    struct mb_program program;
    bool time_phases;
    struct mb_mind_phases phases;
    int64_t phase_start_ns;
    uint32_t *moved; /* of eliminate: a node's new index */
    uint32_t moved_cap;
    struct mb_diags diags; /* last: its lists are not cleared */
};

static const size_t cleared_bytes =
    offsetof(struct mb_mind, diags) + offsetof(struct mb_diags, list);

enum mb_status mb_mind_open(struct mb_mind **out, struct mb_err *err) {
    struct mb_mind *m = mb_allocator.alloc(sizeof *m);
    if (!m) return mb_fail(err, MB_E_NOMEM, "compiler: out of memory");
    memset(m, 0, cleared_bytes);
    mb_arena_init(&m->arena);
    m->check.names = &m->names;
    m->check.diags = &m->diags;
    m->check.arena = &m->arena;
    m->check.file = &m->file;
    if (!mb_names_init(&m->names)) {
        mb_mind_close(m);
        return mb_fail(err, MB_E_NOMEM, "compiler: out of memory");
    }
    *out = m;
    return MB_OK;
}

void mb_mind_close(struct mb_mind *m) {
    if (!m) return;
    void *const owned[] = {m->check.nodes,   m->check.tags,    m->check.locals,
                           m->check.symbols, m->check.outputs, m->moved};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        if (owned[i]) mb_allocator.release(owned[i]);
    mb_names_free(&m->names);
    mb_arena_free(&m->arena);
    mb_allocator.release(m);
}

static enum mb_status no_memory(struct mb_err *err, const struct mb_mind_source *source) {
    return mb_fail(err, MB_E_NOMEM, "%.200s: out of memory while compiling",
                   source->file ? source->file : "<source>");
}

/* The status that the diagnostics amount to; `err` gets the first error in one line. */
static enum mb_status conclude(struct mb_mind *m, const struct mb_mind_source *source,
                               struct mb_err *err) {
    mb_diags_finish(&m->diags);
    if (m->diags.failed) return no_memory(err, source);
    for (uint32_t i = 0; i < m->diags.n_out; i++) {
        const struct mb_diag *d = &m->diags.out[i];
        if (d->severity != MB_ERROR) continue;
        if (d->line == 0)
            return mb_fail(err, MB_E_PROGRAM, "%.200s: [%s] %.200s", d->file, d->code, d->message);
        return mb_fail(err, MB_E_PROGRAM, "%.200s:%u:%u: [%s] %.200s", d->file, d->line, d->column,
                       d->code, d->message);
    }
    if (m->diags.n_errors) /* more than are kept */
        return mb_fail(err, MB_E_PROGRAM, "%.200s: program rejected", m->diags.file);
    return MB_OK;
}

/* `phase_ns` gets the time since the last phase ended. */
static void end_phase(struct mb_mind *m, int64_t *phase_ns) {
    if (!m->time_phases) return;
    const int64_t start = m->phase_start_ns;
    m->phase_start_ns = mb_clock_ns();
    *phase_ns = m->phase_start_ns - start;
}

static void begin(struct mb_mind *m, const struct mb_mind_source *source) {
    if (m->time_phases) {
        m->phases = (struct mb_mind_phases){0};
        m->phase_start_ns = mb_clock_ns();
    }
    mb_names_reset(&m->names);
    mb_arena_reset(&m->arena);
    mb_diags_begin(&m->diags, &m->arena, source);
    m->check.failed = m->check.stop = false;
}

static enum mb_status too_long(struct mb_err *err, const struct mb_mind_source *source) {
    return mb_fail(err, MB_E_INVALID, "%.200s: the source is longer than 1 GiB",
                   source->file ? source->file : "<source>");
}

#define MAX_SOURCE_BYTES ((size_t)1 << 30)

/* Text to tree. */
static enum mb_status parse(struct mb_mind *m, const struct mb_mind_source *source,
                            struct mb_err *err) {
    begin(m, source);
    if (source->len > MAX_SOURCE_BYTES) return too_long(err, source);
    mb_lex_begin(&m->lexer, source->text, (uint32_t)source->len, &m->names, &m->arena, &m->diags);
    bool ok = mb_parse(&m->lexer, &m->file);
    end_phase(m, &m->phases.parse_ns);
    if (!ok) return no_memory(err, source);
    return m->diags.n_errors ? conclude(m, source, err) : MB_OK;
}

/* Tree to typed nodes. */
static enum mb_status check(struct mb_mind *m, const struct mb_mind_source *source, bool symbolic,
                            uint32_t *entry, struct mb_err *err) {
    struct mb_check *c = &m->check;
    uint32_t *bound = NULL;
    if (source->n_bindings) {
        bound = mb_arena_calloc(&m->arena, source->n_bindings, sizeof *bound);
        if (!bound) return no_memory(err, source);
    }
    for (size_t i = 0; i < source->n_bindings; i++) {
        const char *name = source->bindings[i].name;
        bound[i] = mb_names_find(&m->names, name, (uint32_t)strlen(name));
    }
    c->source = source;
    c->bound_names = bound;
    c->symbolic = symbolic;
    c->budget = ((uint64_t)1 << 17) + 16 * (uint64_t)source->len;
    mb_check_run(c, entry);
    end_phase(m, &m->phases.check_ns);
    if (c->failed || m->arena.failed || m->diags.failed) return no_memory(err, source);
    return m->diags.n_errors ? conclude(m, source, err) : MB_OK;
}

/* Removes the nodes that no output needs; parameters stay, and so do all ids. False when memory is
 * out. */
static bool eliminate(struct mb_mind *m) {
    struct mb_check *c = &m->check;
    enum { DEAD = 0, LIVE = 1 };
    uint32_t *moved = mb_vec_room(m->moved, &m->moved_cap, 0, c->n_nodes + 1, sizeof *moved);
    if (!moved) return false;
    m->moved = moved;
    for (uint32_t i = 0; i < c->n_nodes; i++)
        m->moved[i] = c->nodes[i].op == MB_OP_PARAM ? LIVE : DEAD;
    for (uint32_t i = 0; i < c->n_outputs; i++) m->moved[c->outputs[i]] = LIVE;
    for (uint32_t i = c->n_nodes; i--;)
        for (uint32_t k = 0; m->moved[i] == LIVE && k < c->nodes[i].n_operands; k++)
            m->moved[c->nodes[i].operand[k]] = LIVE;
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        if (m->moved[i] == DEAD) continue;
        struct mb_node *node = &c->nodes[n];
        if (n != i) *node = c->nodes[i];
        for (uint32_t k = 0; k < node->n_operands; k++)
            node->operand[k] = m->moved[node->operand[k]];
        m->moved[i] = n++;
    }
    for (uint32_t i = 0; i < c->n_outputs; i++) c->outputs[i] = m->moved[c->outputs[i]];
    for (uint32_t i = 0; i < c->n_params; i++) c->params[i].node = m->moved[c->params[i].node];
    c->n_nodes = n;
    return true;
}

/* Nodes to a verified program. */
static enum mb_status lower(struct mb_mind *m, const struct mb_mind_source *source, uint32_t entry,
                            struct mb_err *err) {
    struct mb_check *c = &m->check;
    struct mb_program *p = &m->program;
    struct mb_err violation;
    uint32_t next_id = c->n_nodes;
    const struct mb_name *name = &m->names.list[entry];
    p->name = mb_arena_strndup(&m->arena, name->text, name->len);
    if (!p->name || !eliminate(m)) return no_memory(err, source);
    p->nodes = c->nodes;
    p->n_nodes = c->n_nodes;
    p->next_id = next_id;
    p->params = c->params;
    p->n_params = c->n_params;
    p->outputs = c->outputs;
    p->n_outputs = c->n_outputs;
    bool sound = mb_program_check(p, &violation) == MB_OK;
    if (!sound)
        mb_diags_add(&m->diags, MB_ERROR, "ir-verify", "E3001", NULL, MB_NOWHERE, MB_NOWHERE, "%s",
                     violation.text);
    end_phase(m, &m->phases.lower_ns);
    return conclude(m, source, err);
}

enum mb_status mb_mind_compile(struct mb_mind *m, const struct mb_mind_source *source,
                               const struct mb_program **out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    uint32_t entry;
    MB_TRY(parse(m, source, err));
    MB_TRY(check(m, source, false, &entry, err));
    MB_TRY(lower(m, source, entry, err));
    *out = &m->program;
out:
    return st;
}

enum mb_status mb_mind_check(struct mb_mind *m, const struct mb_mind_source *source,
                             struct mb_err *err) {
    enum mb_status st = MB_OK;
    uint32_t entry;
    MB_TRY(parse(m, source, err));
    MB_TRY(check(m, source, true, &entry, err));
    st = conclude(m, source, err);
out:
    return st;
}

const struct mb_diag *mb_mind_diags(const struct mb_mind *m, size_t *count) {
    *count = m->diags.n_out;
    return m->diags.out;
}

void mb_mind_time_phases(struct mb_mind *m, bool on) { m->time_phases = on; }

const struct mb_mind_phases *mb_mind_phases(const struct mb_mind *m) { return &m->phases; }

enum mb_status mb_mind_print_tokens(struct mb_mind *m, const struct mb_mind_source *source,
                                    FILE *out, struct mb_err *err) {
    struct mb_token t;
    begin(m, source);
    if (source->len > MAX_SOURCE_BYTES) return too_long(err, source);
    mb_lex_begin(&m->lexer, source->text, (uint32_t)source->len, &m->names, &m->arena, &m->diags);
    do {
        mb_lex_next(&m->lexer, &t);
        fprintf(out, "%u..%u %s", t.pos, t.end, mb_token_kind_text(t.kind));
        if (t.kind <= MB_TOK_CHAR && t.kind != MB_TOK_END)
            fprintf(out, " %.*s", (int)(t.end - t.pos), source->text + t.pos);
        fputs(t.after_break ? " (new line)\n" : "\n", out);
    } while (t.kind != MB_TOK_END);
    if (m->names.failed || m->arena.failed) return no_memory(err, source);
    if (ferror(out)) return mb_fail(err, MB_E_IO, "tokens: write failed");
    return conclude(m, source, err);
}

enum mb_status mb_mind_print_ast(struct mb_mind *m, const struct mb_mind_source *source, FILE *out,
                                 struct mb_err *err) {
    enum mb_status st = parse(m, source, err);
    if (st != MB_OK) return st;
    mb_ast_print(&m->file, &m->names, out);
    if (ferror(out)) return mb_fail(err, MB_E_IO, "tree: write failed");
    return conclude(m, source, err);
}
