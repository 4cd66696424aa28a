#include "sha256.h"

#include <assert.h>
#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

static_assert(sizeof(struct sha256_ctx) <= sizeof(struct mb_sha256), "room for nettle's state");

static struct sha256_ctx *state(struct mb_sha256 *hash) { return (void *)hash->state; }

void mb_sha256_init(struct mb_sha256 *hash) { sha256_init(state(hash)); }

void mb_sha256_add(struct mb_sha256 *hash, const void *bytes, size_t n) {
    sha256_update(state(hash), n, bytes);
}

void mb_sha256_hex(struct mb_sha256 *hash, char hex[MB_SHA256_HEX]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[SHA256_DIGEST_SIZE];
    sha256_digest(state(hash), sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * sizeof digest] = '\0';
}

void mb_sha256_of(const void *bytes, size_t n, char hex[MB_SHA256_HEX]) {
    struct mb_sha256 hash;
    mb_sha256_init(&hash);
    mb_sha256_add(&hash, bytes, n);
    mb_sha256_hex(&hash, hex);
}

enum mb_status mb_sha256_file(const char *path, char hex[MB_SHA256_HEX], struct mb_err *err) {
    unsigned char bytes[1 << 16];
    struct mb_sha256 hash;
    size_t n;
    FILE *file = fopen(path, "rbe");
    if (!file) return mb_fail(err, MB_E_IO, "%s: %s", path, strerror(errno));
    mb_sha256_init(&hash);
    while ((n = fread(bytes, 1, sizeof bytes, file)) > 0) mb_sha256_add(&hash, bytes, n);
    const int error = ferror(file) ? errno : 0;
    fclose(file);
    if (error) return mb_fail(err, MB_E_IO, "%s: %s", path, strerror(error));
    mb_sha256_hex(&hash, hex);
    return MB_OK;
}
