/* SHA-256, from nettle: what a result file says about the bytes that went into it. */
#ifndef MB_SHA256_H
#define MB_SHA256_H

#include "status.h"

#include <stddef.h>

enum { MB_SHA256_HEX = 65 }; /* 64 digits and a NUL */

struct mb_sha256 {
    _Alignas(16) unsigned char state[128]; /* nettle's */
};

void mb_sha256_init(struct mb_sha256 *hash);
void mb_sha256_add(struct mb_sha256 *hash, const void *bytes, size_t n);
/* The hash of all that was added, in lower-case hexadecimal; `hash` is then as after init. */
void mb_sha256_hex(struct mb_sha256 *hash, char hex[MB_SHA256_HEX]);

/* Of some bytes, and of all of a file (MB_E_IO). */
void mb_sha256_of(const void *bytes, size_t n, char hex[MB_SHA256_HEX]);
enum mb_status mb_sha256_file(const char *path, char hex[MB_SHA256_HEX], struct mb_err *err);

#endif
