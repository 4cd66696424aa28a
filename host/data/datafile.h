/* Tensors from files: NumPy's .npy (one tensor) and safetensors (many, by name).
 *
 * Element type and shape must be those that the program wants; nothing is converted, reshaped or
 * filled up. Errors are MB_E_IO (the file) or MB_E_INVALID (its content), with one line of text. */
#ifndef MB_DATAFILE_H
#define MB_DATAFILE_H

#include "status.h"
#include "tensor.h"

/* Reads the tensor of a .npy file, format versions 1 to 3, into `out` (mb_type_bytes of them), or
 * only checks that it fits when `out` is NULL. Arrays in Fortran order are refused.
 * https://numpy.org/neps/nep-0001-npy-format.html */
enum mb_status mb_npy_read(const char *path, const struct mb_type *want, void *out,
                           struct mb_err *err);

/* An open safetensors file, mapped. https://github.com/huggingface/safetensors */
struct mb_safetensors;
enum mb_status mb_safetensors_open(const char *path, struct mb_safetensors **out,
                                   struct mb_err *err);
void mb_safetensors_close(struct mb_safetensors *file); /* NULL is fine */

/* Copies the tensor `name`, or only checks that it is there and fits when `out` is NULL. */
enum mb_status mb_safetensors_read(const struct mb_safetensors *file, const char *name,
                                   const struct mb_type *want, void *out, struct mb_err *err);

#endif
