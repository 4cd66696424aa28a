#include "given.h"

#include "cli.h"

#include <string.h>

bool mb_given_add_input(struct mb_given *given, char *text, const char *command) {
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1]) {
        mb_cli_error(MB_EXIT_USAGE,
                     "%s: --input %s: not of the form NAME=FILE.npy; for example --input x=x.npy",
                     command, text);
        return false;
    }
    if (given->n_inputs == MB_MAX_GIVEN) {
        mb_cli_error(MB_EXIT_USAGE, "%s: more than %d --input", command, MB_MAX_GIVEN);
        return false;
    }
    *equals = '\0';
    given->inputs[given->n_inputs].name = text;
    given->inputs[given->n_inputs].path = equals + 1;
    given->n_inputs++;
    return true;
}

enum mb_status mb_given_open(struct mb_given *given, struct mb_err *err) {
    if (!given->weights_path) return MB_OK;
    return mb_safetensors_open(given->weights_path, &given->weights, err);
}

void mb_given_close(struct mb_given *given) {
    mb_safetensors_close(given->weights);
    given->weights = NULL;
}

static const char *input_path(const struct mb_given *given, const char *name) {
    for (size_t i = 0; i < given->n_inputs; i++)
        if (strcmp(given->inputs[i].name, name) == 0) return given->inputs[i].path;
    return NULL;
}

static enum mb_status check_names(const struct mb_given *given, const struct mb_program *program,
                                  struct mb_err *err) {
    for (size_t i = 0; i < given->n_inputs; i++) {
        uint32_t k = 0;
        while (k < program->n_params && strcmp(program->params[k].name, given->inputs[i].name) != 0)
            k++;
        if (k == program->n_params)
            return mb_fail(err, MB_E_INVALID,
                           "--input %s: %s has no such parameter; mindbench "
                           "compile shows them",
                           given->inputs[i].name, program->name);
    }
    return MB_OK;
}

enum mb_status mb_given_read(const struct mb_given *given, const struct mb_program *program,
                             void *const *params, struct mb_err *err) {
    enum mb_status st = check_names(given, program, err);
    for (uint32_t i = 0; i < program->n_params && st == MB_OK; i++) {
        const struct mb_param *p = &program->params[i];
        const char *path = input_path(given, p->name);
        void *out = params ? params[i] : NULL;
        if (path)
            st = mb_npy_read(path, &p->type, out, err);
        else if (given->weights && p->role == MB_WEIGHT)
            st = mb_safetensors_read(given->weights, p->name, &p->type, out, err);
    }
    return st;
}
