#include "names.h"

#include "vec.h"

#include <string.h>

static bool place_all(struct mb_names *n, uint32_t n_slots) {
    struct mb_name_slot *slots = mb_allocator.alloc((size_t)n_slots * sizeof *slots);
    if (!slots) return false;
    memset(slots, 0, (size_t)n_slots * sizeof *slots);
    /* in the order of their numbers, so that clearing all but the fixed ones breaks no chain */
    for (uint32_t i = 0; i < n->count; i++) {
        uint32_t slot = n->list[i].hash & (n_slots - 1);
        while (slots[slot].name) slot = (slot + 1) & (n_slots - 1);
        slots[slot] = (struct mb_name_slot){n->list[i].hash, i + 1};
        n->list[i].slot = slot;
    }
    if (n->slots) mb_allocator.release(n->slots);
    n->slots = slots;
    n->n_slots = n_slots;
    return true;
}

bool mb_names_init(struct mb_names *n) {
    static const char *const words[] = {
#define KEYWORD(word, id) word,
#define WORD(word, id)    word,
#include "keywords.def"
    };
    n->epoch = 1;
    if (!place_all(n, 1024)) return false;
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++) mb_names_intern_text(n, words[i]);
    return !n->failed;
}

void mb_names_free(struct mb_names *n) {
    if (n->list) mb_allocator.release(n->list);
    if (n->slots) mb_allocator.release(n->slots);
    memset(n, 0, sizeof *n);
}

void mb_names_fix(struct mb_names *n) { n->n_fixed = n->count; }

void mb_names_reset(struct mb_names *n) {
    for (uint32_t i = n->n_fixed; i < n->count; i++) n->slots[n->list[i].slot].name = 0;
    n->count = n->n_fixed;
    n->failed = false;
    if (++n->epoch == 0) { /* wrapped: no old mark may come alive again */
        for (uint32_t i = 0; i < n->count; i++) n->list[i].item_epoch = 0;
        n->epoch = 1;
    }
}

/* Names are short: a call of memcmp costs more than the loop. */
static bool same_text(const char *a, const char *b, uint32_t len) {
    if (len > 32) return memcmp(a, b, len) == 0;
    for (uint32_t i = 0; i < len; i++)
        if (a[i] != b[i]) return false;
    return true;
}

static uint32_t probe(const struct mb_names *n, const char *text, uint32_t len, uint32_t hash) {
    uint32_t mask = n->n_slots - 1, slot = hash & mask;
    for (; n->slots[slot].name; slot = (slot + 1) & mask) {
        if (n->slots[slot].hash != hash) continue;
        const struct mb_name *name = &n->list[n->slots[slot].name - 1];
        if (name->len == len && same_text(name->text, text, len)) break;
    }
    return slot;
}

/* A product carries low bits upwards only; the table is indexed by the low ones. */
static uint32_t finish(uint32_t hash) {
    hash = (hash ^ hash >> 15) * 0x85EBCA6Bu;
    return hash ^ hash >> 13;
}

uint32_t mb_names_intern(struct mb_names *n, const char *text, uint32_t len, uint32_t hash) {
    hash = finish(hash);
    uint32_t slot = probe(n, text, len, hash);
    if (n->slots[slot].name) return n->slots[slot].name - 1;
    if (n->count >= n->n_slots / 2) {
        if (n->n_slots > UINT32_MAX / 2 || !place_all(n, n->n_slots * 2)) goto failed;
        slot = probe(n, text, len, hash);
    }
    struct mb_name *list =
        mb_vec_room(n->list, &n->cap, n->count, (uint64_t)n->count + 1, sizeof *list);
    if (!list) goto failed;
    n->list = list;
    n->list[n->count] = (struct mb_name){
        .text = text, .len = len, .hash = hash, .slot = slot, .binding = MB_NO_INDEX};
    n->slots[slot] = (struct mb_name_slot){hash, ++n->count};
    return n->count - 1;
failed:
    n->failed = true;
    return 0;
}

static uint32_t hash_of(const char *text, uint32_t len) {
    uint32_t hash = 0;
    for (uint32_t i = 0; i < len; i++) hash = mb_hash_step(hash, (unsigned char)text[i]);
    return hash;
}

uint32_t mb_names_intern_text(struct mb_names *n, const char *text) {
    uint32_t len = (uint32_t)strlen(text);
    return mb_names_intern(n, text, len, hash_of(text, len));
}

uint32_t mb_names_find(const struct mb_names *n, const char *text, uint32_t len) {
    uint32_t slot = probe(n, text, len, finish(hash_of(text, len)));
    return n->slots[slot].name ? n->slots[slot].name - 1 : MB_NO_NAME;
}
