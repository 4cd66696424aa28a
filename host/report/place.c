#include "place.h"

#include <stdio.h>

size_t mb_place_text(const struct mb_place *place, int longest_key, char *buf, size_t size) {
    int wrote = 0;
    if (!place->parent) {
        *buf = '\0';
        return 0;
    }
    size_t used = mb_place_text(place->parent, longest_key, buf, size);
    if (place->key)
        wrote =
            snprintf(buf + used, size - used, "%s%.*s", used ? "." : "", longest_key, place->key);
    else
        wrote = snprintf(buf + used, size - used, "[%zu]", place->index);
    used += wrote > 0 ? (size_t)wrote : 0;
    return used < size ? used : size - 1;
}

char mb_printable_char(char c) { return (unsigned char)c < ' ' || c == 127 ? '?' : c; }

void mb_printable(char *text) {
    for (; *text; text++) *text = mb_printable_char(*text);
}
