/* Where a value stands in a result file, and text of one made safe to show: a file may hold
 * anything. */
#ifndef MB_PLACE_H
#define MB_PLACE_H

#include <stddef.h>

struct mb_place {
    const struct mb_place *parent; /* NULL: the top of the file */
    const char *key;               /* NULL: an element of an array */
    size_t index;                  /* of an element */
};

/* "benchmarks.mlp_batch32.executors[2]" and so on, of each key at most `longest_key` bytes; empty
 * for the top. What does not fit is cut. Returns the length. */
size_t mb_place_text(const struct mb_place *place, int longest_key, char *buf, size_t size);

/* A question mark for a character that would steer a terminal, else the character. */
char mb_printable_char(char c);
void mb_printable(char *text);

#endif
