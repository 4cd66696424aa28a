#include "names.h"

#include "fixed_names.h"
#include "name_hash.h"
#include "vec.h"

#include <string.h>

static bool place_all(struct mb_names *n, uint32_t n_slots) {
    struct mb_name_slot *slots = mb_allocator.alloc((size_t)n_slots * sizeof *slots);
    if (!slots) return false;
    memset(slots, 0, (size_t)n_slots * sizeof *slots);
    /* in the order of their numbers, so that clearing all but the fixed ones breaks no chain */
    for (uint32_t i = 0; i < n->count; i++) {
        const uint32_t hash = n->slots[n->list[i].slot].hash;
        uint32_t slot = hash & (n_slots - 1);
        while (slots[slot].name) slot = (slot + 1) & (n_slots - 1);
        slots[slot] = (struct mb_name_slot){hash, i + 1};
        n->list[i].slot = slot;
    }
    if (n->slots) mb_allocator.release(n->slots);
    n->slots = slots;
    n->n_slots = n_slots;
    return true;
}

bool mb_names_init(struct mb_names *n) {
    enum { FIRST_NAMES = MB_FIXED_SLOTS / 2 };
    n->epoch = 1;
    n->list = mb_vec_room(NULL, &n->cap, 0, FIRST_NAMES, sizeof *n->list);
    if (!n->list || !place_all(n, MB_FIXED_SLOTS)) return false;
    n->n_fixed = n->count = mb_n_fixed_names;
    for (uint32_t i = 0; i < n->count; i++) {
        const struct mb_placed_name *fixed = &mb_fixed_names[i];
        n->list[i] = (struct mb_name){.text = mb_fixed_texts + fixed->text,
                                      .len = fixed->len,
                                      .slot = fixed->slot,
                                      .binding = MB_NO_INDEX};
        n->slots[fixed->slot] = (struct mb_name_slot){fixed->hash, i + 1};
    }
    return true;
}

void mb_names_free(struct mb_names *n) {
    if (n->list) mb_allocator.release(n->list);
    if (n->slots) mb_allocator.release(n->slots);
    memset(n, 0, sizeof *n);
}

void mb_names_reset(struct mb_names *n) {
    for (uint32_t i = n->n_fixed; i < n->count; i++) n->slots[n->list[i].slot].name = 0;
    n->count = n->n_fixed;
    n->failed = false;
    if (++n->epoch == 0) { /* wrapped: no old mark may come alive again */
        for (uint32_t i = 0; i < n->count; i++) n->list[i].item_epoch = 0;
        n->epoch = 1;
    }
}

/* Names are short: a call of memcmp costs more. The two loads of a length overlap. */
static inline bool same_text(const char *a, const char *b, uint32_t len) {
    if (len > 16) return memcmp(a, b, len) == 0;
    if (len >= 8)
        return mb_name_load(a, 8) == mb_name_load(b, 8) &&
               mb_name_load(a + len - 8, 8) == mb_name_load(b + len - 8, 8);
    if (len >= 4)
        return mb_name_load(a, 4) == mb_name_load(b, 4) &&
               mb_name_load(a + len - 4, 4) == mb_name_load(b + len - 4, 4);
    for (uint32_t i = 0; i < len; i++)
        if (a[i] != b[i]) return false;
    return true;
}

static inline uint32_t probe(const struct mb_names *n, const char *text, uint32_t len,
                             uint32_t hash) {
    uint32_t mask = n->n_slots - 1, slot = hash & mask;
    for (; n->slots[slot].name; slot = (slot + 1) & mask) {
        if (n->slots[slot].hash != hash) continue;
        const struct mb_name *name = &n->list[n->slots[slot].name - 1];
        if (name->len == len && same_text(name->text, text, len)) break;
    }
    return slot;
}

/* A name that is new. */
static uint32_t add_name(struct mb_names *n, const char *text, uint32_t len, uint32_t hash) {
    uint32_t slot;
    if (n->count >= n->n_slots / 2)
        if (n->n_slots > UINT32_MAX / 2 || !place_all(n, n->n_slots * 2)) goto failed;
    slot = probe(n, text, len, hash);
    struct mb_name *list =
        mb_vec_room(n->list, &n->cap, n->count, (uint64_t)n->count + 1, sizeof *list);
    if (!list) goto failed;
    n->list = list;
    n->list[n->count] =
        (struct mb_name){.text = text, .len = len, .slot = slot, .binding = MB_NO_INDEX};
    n->slots[slot] = (struct mb_name_slot){hash, ++n->count};
    return n->count - 1;
failed:
    n->failed = true;
    return 0;
}

uint32_t mb_names_intern(struct mb_names *n, const char *text, uint32_t len) {
    const uint32_t hash = mb_name_hash(text, len);
    const uint32_t known = n->slots[probe(n, text, len, hash)].name;
    return known ? known - 1 : add_name(n, text, len, hash);
}

uint32_t mb_names_find(const struct mb_names *n, const char *text, uint32_t len) {
    if (len == 0) return MB_NO_NAME;
    uint32_t slot = probe(n, text, len, mb_name_hash(text, len));
    return n->slots[slot].name ? n->slots[slot].name - 1 : MB_NO_NAME;
}
