/* What a benchmark was measured on, so that it can be known again: the program, and the bytes of
 * its weights and inputs. */
#ifndef MB_ORIGIN_H
#define MB_ORIGIN_H

#include "mind.h"
#include "result.h"

/* Fills what follows from the program alone: batch, flops, bytes, params_text (NULL without
 * memory). */
void mb_describe_program(const struct mb_program *program, struct mb_arena *arena,
                         struct mb_benchmark_result *out);

/* SHA-256 of the source, and of the parameters' data: of each weight (input) in declaration order
 * its name, a NUL, its type as text, a NUL and its bytes. `given`: not all of it was made up from
 * the seed. MB_E_NOMEM. */
enum mb_status mb_origin_of(const struct mb_mind_source *source, const struct mb_program *program,
                            void *const *params, bool given, struct mb_arena *arena,
                            struct mb_origin *out, struct mb_err *err);

#endif
