/* Weights and inputs that the user gives instead of made-up ones. */
#ifndef MB_GIVEN_H
#define MB_GIVEN_H

#include "datafile.h"
#include "program.h"

#include <stdbool.h>

enum { MB_MAX_GIVEN = 64 };

struct mb_given {
    struct {
        const char *name, *path; /* of a parameter, and of its .npy file */
    } inputs[MB_MAX_GIVEN];
    size_t n_inputs;
    const char *weights_path;       /* NULL: none */
    struct mb_safetensors *weights; /* opened by mb_given_open */
};

/* Takes "NAME=FILE.npy" (borrowed, and cut at the =). False after an error on stderr. */
bool mb_given_add_input(struct mb_given *given, char *text, const char *command);

enum mb_status mb_given_open(struct mb_given *given, struct mb_err *err);
void mb_given_close(struct mb_given *given);

/* Copies what is given over the parameters' data: inputs by name, whatever their role, and every
 * weight from the weights file that no input names. With params NULL it only checks that all of it
 * is there and fits. MB_E_INVALID names what does not. */
enum mb_status mb_given_read(const struct mb_given *given, const struct mb_program *program,
                             void *const *params, struct mb_err *err);

#endif
