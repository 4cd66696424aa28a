/* The tree as text, one node a line and two spaces a level (`compile --emit ast`). */
#include "ast.h"

#include <inttypes.h>

struct printer {
    const struct mb_names *names;
    FILE *out;
    int level;
};

static void print_block(struct printer *p, const struct mb_ast_block *block);

static void line(struct printer *p, const char *what) {
    fprintf(p->out, "%*s%s", 2 * p->level, "", what);
}

static void put_name(struct printer *p, uint32_t name) {
    if (name == MB_NO_NAME) return;
    const struct mb_name *n = &p->names->list[name];
    fprintf(p->out, " %.*s", (int)n->len, n->text);
}

static void print_type(struct printer *p, const struct mb_ast_type *t) {
    static const char *const kinds[] = {"type", "tensor", "tuple type", "other type"};
    line(p, kinds[t->kind]);
    put_name(p, t->name);
    for (const struct mb_ast_dim *d = t->dims; d; d = d->next) {
        if (d->name == MB_NO_NAME)
            fprintf(p->out, " %" PRIu64, d->extent);
        else
            put_name(p, d->name);
    }
    fputc('\n', p->out);
    p->level++;
    for (const struct mb_ast_type *i = t->items; i; i = i->next) print_type(p, i);
    p->level--;
}

static void print_expr(struct printer *p, const struct mb_ast_expr *e) {
    static const char *const kinds[] = {
        "bad",   "name",  "int",   "float",   "bool", "string", "unary",  "binary", "cast", "call",
        "index", "range", "field", "element", "list", "tuple",  "struct", "if",     "other"};
    line(p, kinds[e->kind]);
    if (e->label != MB_NO_NAME) {
        fputs(" (", p->out);
        put_name(p, e->label);
        fputs(" = )", p->out);
    }
    switch ((enum mb_ast_expr_kind)e->kind) {
    case MB_EXPR_INT: fprintf(p->out, " %" PRIu64 "\n", e->u.integer); return;
    case MB_EXPR_FLOAT: fprintf(p->out, " %.17g\n", e->u.number); return;
    case MB_EXPR_BOOL: fputs(e->u.truth ? " true\n" : " false\n", p->out); return;
    case MB_EXPR_TEXT: fprintf(p->out, " of %" PRIu32 " bytes\n", e->u.text.len); return;
    case MB_EXPR_BAD:
    case MB_EXPR_OTHER: fputc('\n', p->out); return;
    case MB_EXPR_UNARY:
    case MB_EXPR_BINARY:
    case MB_EXPR_CAST:
    case MB_EXPR_RANGE:
        fprintf(p->out, " %s\n", mb_token_kind_text(e->op));
        p->level++;
        print_expr(p, e->u.of.lhs);
        if (e->u.of.rhs) print_expr(p, e->u.of.rhs);
        if (e->u.of.type) print_type(p, e->u.of.type);
        p->level--;
        return;
    case MB_EXPR_IF:
        fputc('\n', p->out);
        p->level++;
        print_expr(p, e->u.branch.condition);
        print_block(p, e->u.branch.then);
        if (e->u.branch.otherwise) print_block(p, e->u.branch.otherwise);
        p->level--;
        return;
    case MB_EXPR_ITEM: fprintf(p->out, " %" PRIu32, e->u.call.n_args); break;
    case MB_EXPR_NAME:
    case MB_EXPR_FIELD:
    case MB_EXPR_STRUCT: put_name(p, e->u.call.name); break;
    case MB_EXPR_CALL:
    case MB_EXPR_INDEX:
    case MB_EXPR_LIST:
    case MB_EXPR_TUPLE: break;
    }
    fputc('\n', p->out);
    p->level++;
    if (e->u.call.base) print_expr(p, e->u.call.base);
    for (const struct mb_ast_expr *a = e->u.call.args; a; a = a->next) print_expr(p, a);
    p->level--;
}

static void print_stmt(struct printer *p, const struct mb_ast_stmt *s) {
    static const char *const kinds[] = {"let",   "assign", "expression", "return", "for",
                                        "while", "print",  "assert",     "jump",   "other"};
    line(p, kinds[s->kind]);
    for (const struct mb_ast_name *n = s->names; n; n = n->next) put_name(p, n->name);
    fputc('\n', p->out);
    p->level++;
    if (s->type) print_type(p, s->type);
    if (s->target) print_expr(p, s->target);
    if (s->value) print_expr(p, s->value);
    for (const struct mb_ast_expr *a = s->args; a; a = a->next) print_expr(p, a);
    if (s->body) print_block(p, s->body);
    p->level--;
}

static void print_block(struct printer *p, const struct mb_ast_block *block) {
    line(p, "block\n");
    p->level++;
    for (const struct mb_ast_stmt *s = block->first; s; s = s->next) print_stmt(p, s);
    p->level--;
}

static void print_item(struct printer *p, const struct mb_ast_item *item) {
    static const char *const kinds[] = {"fn", "const", "struct", "alias", "import", "other"};
    line(p, item->is_pub ? "pub " : "");
    fputs(kinds[item->kind], p->out);
    put_name(p, item->name);
    fputc('\n', p->out);
    p->level++;
    for (const struct mb_ast_param *q = item->params; q; q = q->next) {
        line(p, "parameter");
        put_name(p, q->name);
        fputc('\n', p->out);
        p->level++;
        print_type(p, q->type);
        p->level--;
    }
    if (item->type) print_type(p, item->type);
    if (item->value) print_expr(p, item->value);
    if (item->body) print_block(p, item->body);
    p->level--;
}

void mb_ast_print(const struct mb_ast_file *file, const struct mb_names *names, FILE *out) {
    struct printer p = {names, out, 0};
    for (const struct mb_ast_item *item = file->items; item; item = item->next)
        print_item(&p, item);
    for (const struct mb_ast_stmt *s = file->script.first; s; s = s->next) print_stmt(&p, s);
}
