/* Finds again the row that was made for a list of addresses: which captured graph belongs to which
 * buffers. Rows are never replaced, so that callers who rotate over more lists than there is room
 * for do not make every row anew each time. */
#ifndef MB_POINTER_TABLE_H
#define MB_POINTER_TABLE_H

#include <stdbool.h>
#include <stdint.h>

enum { MB_POINTER_ROWS = 64 };
#define MB_NO_ROW UINT32_MAX

struct mb_pointer_table {
    void **cells; /* MB_POINTER_ROWS rows of n_pointers */
    uint32_t n_pointers, n_rows;
    uint32_t last; /* the row found last: where the next search begins */
};

/* False when memory is out. */
bool mb_pointer_table_init(struct mb_pointer_table *table, uint32_t n_pointers);
void mb_pointer_table_fini(struct mb_pointer_table *table); /* all zero is fine */

/* The row of these n_pointers addresses, or MB_NO_ROW. One comparison when they are the last ones'
 * again, two when lists take turns in the order in which they came. */
uint32_t mb_pointer_table_find(struct mb_pointer_table *table, void *const *pointers);

/* A new row for addresses that have none, or MB_NO_ROW when the table is full. */
uint32_t mb_pointer_table_add(struct mb_pointer_table *table, void *const *pointers);

#endif
