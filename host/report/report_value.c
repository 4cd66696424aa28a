#include "report_value.h"

#include <math.h>
#include <string.h>

void mb_csv_text(FILE *out, const char *text) {
    if (!text) return;
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"') putc('"', out);
        putc(*text, out);
    }
    putc('"', out);
}

void mb_csv_number(FILE *out, bool have, double value) {
    putc(',', out);
    if (have && isfinite(value)) fprintf(out, "%.15g", value);
}

void mb_md_text(FILE *out, const char *text) {
    for (; *text; text++) {
        if (*text == '|' || *text == '\\') putc('\\', out);
        putc((unsigned char)*text < ' ' ? ' ' : *text, out);
    }
}

json_t *mb_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }
