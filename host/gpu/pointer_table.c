#include "pointer_table.h"

#include "arena.h"

#include <stddef.h>
#include <string.h>

bool mb_pointer_table_init(struct mb_pointer_table *table, uint32_t n_pointers) {
    *table = (struct mb_pointer_table){.n_pointers = n_pointers};
    table->cells =
        mb_allocator.alloc(MB_POINTER_ROWS * ((size_t)n_pointers + 1) * sizeof *table->cells);
    return table->cells != NULL;
}

void mb_pointer_table_fini(struct mb_pointer_table *table) {
    mb_allocator.release(table->cells);
    *table = (struct mb_pointer_table){0};
}

static void **row_at(const struct mb_pointer_table *table, uint32_t row) {
    return table->cells + (size_t)row * table->n_pointers;
}

uint32_t mb_pointer_table_find(struct mb_pointer_table *table, void *const *pointers) {
    const size_t bytes = table->n_pointers * sizeof *pointers;
    uint32_t row = table->last;
    for (uint32_t i = 0; i < table->n_rows; i++) {
        if (memcmp(row_at(table, row), pointers, bytes) == 0) {
            table->last = row;
            return row;
        }
        row = row + 1 == table->n_rows ? 0 : row + 1;
    }
    return MB_NO_ROW;
}

uint32_t mb_pointer_table_add(struct mb_pointer_table *table, void *const *pointers) {
    if (table->n_rows == MB_POINTER_ROWS) return MB_NO_ROW;
    memcpy(row_at(table, table->n_rows), pointers, table->n_pointers * sizeof *pointers);
    table->last = table->n_rows;
    return table->n_rows++;
}
