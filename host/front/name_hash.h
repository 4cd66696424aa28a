/* The hash of a name's text, for the table of names and for the program that makes its start. */
#ifndef MB_NAME_HASH_H
#define MB_NAME_HASH_H

#include <stdint.h>
#include <string.h>

/* The first `len` <= 8 bytes at `text`. */
static inline uint64_t mb_name_load(const char *text, uint32_t len) {
    uint64_t word = 0;
    memcpy(&word, text, len);
    return word;
}

/* Of all `len` >= 1 bytes, eight at a time; the last loads of a length overlap. Most names are
 * shorter than that and take one multiplication. */
static inline uint32_t mb_name_hash(const char *text, uint32_t len) {
    static const uint64_t factor = 0x9E3779B97F4A7C15u;
    uint64_t hash = len;
    uint32_t i = 0;
    for (; len - i > 8; i += 8) {
        hash = (hash ^ mb_name_load(text + i, 8)) * factor;
        hash ^= hash >> 32;
    }
    if (len >= 8)
        hash ^= mb_name_load(text + len - 8, 8);
    else if (len >= 4)
        hash ^= mb_name_load(text, 4) << 32 ^ mb_name_load(text + len - 4, 4) << 8;
    else
        hash ^= (uint64_t)(unsigned char)text[0] << 8 |
                (uint64_t)(unsigned char)text[len / 2] << 16 |
                (uint64_t)(unsigned char)text[len - 1] << 24;
    hash *= factor;
    return (uint32_t)(hash >> 32);
}

#endif
