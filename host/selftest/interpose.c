#include "interpose.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct search {
    const char *name;
    mb_function replacement;
    int n_replaced;
};

/* What the dynamic section of the program says. */
struct tables {
    const char *strings;
    const ElfW(Sym) * symbols;
    const ElfW(Rela) * relocations[2]; /* of data, and of procedures */
    size_t bytes[2];
};

/* The addresses in it have been relocated by the dynamic linker. */
static void read_tables(const ElfW(Dyn) * d, struct tables *t) {
    for (; d->d_tag != DT_NULL; d++) switch (d->d_tag) {
        case DT_STRTAB: t->strings = (const char *)d->d_un.d_ptr; break;
        case DT_SYMTAB: t->symbols = (const ElfW(Sym) *)d->d_un.d_ptr; break;
        case DT_RELA: t->relocations[0] = (const ElfW(Rela) *)d->d_un.d_ptr; break;
        case DT_RELASZ: t->bytes[0] = d->d_un.d_val; break;
        case DT_JMPREL: t->relocations[1] = (const ElfW(Rela) *)d->d_un.d_ptr; break;
        case DT_PLTRELSZ: t->bytes[1] = d->d_un.d_val; break;
        default: break;
        }
}

/* The table may be read-only once all has been linked. */
static bool overwrite(ElfW(Addr) at, mb_function replacement) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *start = (void *)(at / page * page);
    if (mprotect(start, page, PROT_READ | PROT_WRITE) != 0) return false;
    memcpy((void *)at, &replacement, sizeof replacement);
    return true;
}

static int search_program(struct dl_phdr_info *info, size_t size, void *arg) {
    struct search *s = arg;
    struct tables t = {0};
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            read_tables((const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr), &t);
    for (int k = 0; k < 2 && t.symbols && t.strings; k++)
        for (size_t i = 0; i < t.bytes[k] / sizeof *t.relocations[k]; i++) {
            const ElfW(Rela) *r = &t.relocations[k][i];
            const ElfW(Sym) *symbol = &t.symbols[r->r_info >> 32];
            if (strcmp(t.strings + symbol->st_name, s->name) == 0 && r->r_addend == 0 &&
                overwrite(info->dlpi_addr + r->r_offset, s->replacement))
                s->n_replaced++;
        }
    return 1; /* the program is the first object, and the only one asked for */
}

enum mb_status mb_interpose(const char *name, mb_function replacement, struct mb_err *err) {
    struct search s = {.name = name, .replacement = replacement};
    dl_iterate_phdr(search_program, &s);
    return s.n_replaced ? MB_OK
                        : mb_fail(err, MB_E_UNSUPPORTED,
                                  "the program does not call %s through a table", name);
}
