#include "report_selftest.h"

#include "machine.h"
#include "report_value.h"

static json_t *json_of_row(const struct mb_selftest_row *row) {
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "cheat", row->cheat, "what",
                     row->what, "outcome", mb_selftest_outcome_name(row->outcome), "reason",
                     row->reason, "slowdown", mb_json_number(row->slowdown.value), "ci_low",
                     mb_json_number(row->slowdown.low), "ci_high",
                     mb_json_number(row->slowdown.high), "seconds", mb_json_number(row->seconds));
}

enum mb_status mb_report_selftest(const struct mb_selftest *s, const struct mb_selftest_config *c,
                                  json_t **out, struct mb_err *err) {
    struct mb_machine machine;
    const struct mb_build *build = mb_build();
    const enum mb_status st = mb_machine_read(NULL, &machine, err);
    if (st != MB_OK) return st;
    json_t *rows = json_array();
    for (size_t i = 0; rows && i < s->n_rows; i++)
        if (json_array_append_new(rows, json_of_row(&s->rows[i])) != 0) {
            json_decref(rows);
            rows = NULL;
        }
    json_t *o =
        json_pack("{s:s, s:i, s:{s:s, s:s, s:b, s:s, s:s}, s:{s:o, s:o}, s:s, s:I, s:i, "
                  "s:o}",
                  "format", MB_SELFTEST_FORMAT, "format_version", 1, "mindbench", "version",
                  build->version, "git_sha", build->git_sha, "git_is_dirty",
                  (int)build->git_is_dirty, "compiler", build->compiler, "flags", build->flags,
                  "machine", "cpu", machine.cpu[0] ? json_string(machine.cpu) : json_null(), "gpu",
                  machine.gpu[0] ? json_string(machine.gpu) : json_null(), "workload", c->workload,
                  "seed", (json_int_t)c->seed, "missed", (int)s->n_missed, "rows", rows);
    if (!o) return mb_fail(err, MB_E_NOMEM, "no memory for the JSON text");
    *out = o;
    return MB_OK;
}
