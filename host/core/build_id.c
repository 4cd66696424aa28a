#include "build_id.h"

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char here; /* an address inside the object that this is linked into */

static bool contains(const struct dl_phdr_info *object, uintptr_t address) {
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD &&
            address - object->dlpi_addr - segment->p_vaddr < segment->p_memsz)
            return true;
    }
    return false;
}

static bool take_build_id(const char *note, size_t size, char *id) {
    while (size >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) head;
        memcpy(&head, note, sizeof head);
        const size_t name = (head.n_namesz + 3u) & ~(size_t)3,
                     desc = (head.n_descsz + 3u) & ~(size_t)3;
        const unsigned char *bytes = (const unsigned char *)note + sizeof head + name;
        if (size - sizeof head < name || size - sizeof head - name < desc) return false;
        if (head.n_type == NT_GNU_BUILD_ID && head.n_descsz > 0 && head.n_namesz == 4 &&
            memcmp(note + sizeof head, "GNU", 4) == 0) {
            for (uint32_t i = 0; i < head.n_descsz && 2 * i + 2 < MB_BUILD_ID_SIZE; i++)
                snprintf(id + 2 * (size_t)i, 3, "%02x", bytes[i]);
            return true;
        }
        note += sizeof head + name + desc;
        size -= sizeof head + name + desc;
    }
    return false;
}

static int find_build(struct dl_phdr_info *object, size_t size, void *arg) {
    (void)size;
    if (!contains(object, (uintptr_t)&here)) return 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type == PT_NOTE &&
            take_build_id((const char *)(object->dlpi_addr + segment->p_vaddr), segment->p_memsz,
                          arg))
            break;
    }
    return 1;
}

void mb_build_id(char id[MB_BUILD_ID_SIZE]) {
    id[0] = '\0';
    dl_iterate_phdr(find_build, id);
}
