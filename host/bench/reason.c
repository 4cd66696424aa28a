#include "reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *mb_reason(struct mb_arena *arena, const char *format, ...) {
    char text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *copy = mb_arena_strndup(arena, text, strlen(text));
    return copy ? copy : "no memory for the reason";
}
