#include "tuning_cache.h"

#include "file.h"
#include "outfile.h"
#include "random.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char header[] = "mindbench tuning 1\n";
enum { MAX_ENTRIES = 4096, CHECK_LEN = 6 + 16 + 1 }; /* of "check ", 16 digits, a line end */
static const size_t max_bytes = (size_t)16 << 20;

static const char *join(struct mb_arena *arena, const char *a, const char *b) {
    const size_t size = strlen(a) + strlen(b) + 1;
    char *text = mb_arena_alloc(arena, size);
    if (text) snprintf(text, size, "%s%s", a, b);
    return text;
}

/* The XDG base directory specification ignores a relative path. */
const char *mb_tuning_cache_folder(struct mb_arena *arena) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/') return join(arena, cache, "/mindbench");
    if (home && home[0] == '/') return join(arena, home, "/.cache/mindbench");
    return NULL;
}

/* ---- the file ---- */

/* Cuts the last line off; false where the text is not that of a sound file. */
static bool cut_check(char *text, size_t len) {
    if (len < sizeof header - 1 + CHECK_LEN || memchr(text, 0, len) ||
        strncmp(text, header, sizeof header - 1) != 0)
        return false;
    char *last = text + len - CHECK_LEN;
    if (last[-1] != '\n' || last[CHECK_LEN - 1] != '\n' || strncmp(last, "check ", 6) != 0 ||
        strspn(last + 6, "0123456789abcdef") != 16)
        return false;
    const uint64_t sum = strtoull(last + 6, NULL, 16);
    *last = '\0';
    return mb_random_stream(text) == sum;
}

/* All of a sound file but its last line, from malloc; NULL: there is none. */
static char *read_sound(const char *path) {
    char *text = NULL;
    size_t len;
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) return NULL; /* a pipe would block */
    if (mb_file_read(path, max_bytes, &text, &len, NULL) != MB_OK) return NULL;
    if (cut_check(text, len)) return text;
    free(text);
    return NULL;
}

static struct mb_tuning_entry *entry_of(const struct mb_tuning_cache *cache, const char *key) {
    struct mb_tuning_entry *entry = cache->first;
    while (entry && strcmp(entry->key, key) != 0) entry = entry->next;
    return entry;
}

/* Without looking for an entry of the same key. What memory is lacking for is measured again
 * another time. */
static void append(struct mb_tuning_cache *cache, const char *key, const char *value, bool is_new) {
    struct mb_tuning_entry *entry = mb_arena_alloc(cache->arena, sizeof *entry);
    if (!entry || !key || !value) return;
    *entry = (struct mb_tuning_entry){.key = key, .value = value, .is_new = is_new};
    if (cache->last)
        cache->last->next = entry;
    else
        cache->first = entry;
    cache->last = entry;
    cache->count++;
}

static void put(struct mb_tuning_cache *cache, const char *key, const char *value, bool is_new) {
    struct mb_tuning_entry *entry = entry_of(cache, key);
    if (!entry) {
        append(cache, key, value, is_new);
        return;
    }
    entry->value = value;
    entry->is_new = is_new;
}

static const char *path_of(const struct mb_tuning_cache *cache) {
    return cache->folder ? join(cache->arena, cache->folder, "/tuning") : NULL;
}

void mb_tuning_cache_load(struct mb_tuning_cache *cache) {
    const char *path = path_of(cache);
    char *text = path ? read_sound(path) : NULL;
    if (!text) return;
    for (char *line = text + sizeof header - 1, *end; (end = strchr(line, '\n')); line = end + 1) {
        char *tab = memchr(line, '\t', (size_t)(end - line));
        if (!tab) continue;
        append(cache, mb_arena_strndup(cache->arena, line, (size_t)(tab - line)),
               mb_arena_strndup(cache->arena, tab + 1, (size_t)(end - tab - 1)), false);
    }
    free(text);
}

const char *mb_tuning_cache_find(const struct mb_tuning_cache *cache, const char *key) {
    const struct mb_tuning_entry *entry = entry_of(cache, key);
    return entry ? entry->value : NULL;
}

void mb_tuning_cache_put(struct mb_tuning_cache *cache, const char *key, const char *value) {
    put(cache, key, value, true);
}

/* ---- saving ---- */

/* mkdir -p, for the user alone. The parts that exist already make their mkdir fail, and a folder
 * that cannot be made shows when the file is opened. */
static void make_folder(const char *folder) {
    char *path = strdup(folder);
    if (!path) return;
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    (void)mkdir(path, 0700);
    free(path);
}

/* The whole file from malloc, NULL without memory. */
static char *render(const struct mb_tuning_cache *cache) {
    char *text = NULL;
    size_t len;
    uint32_t skip = cache->count > MAX_ENTRIES ? cache->count - MAX_ENTRIES : 0;
    FILE *out = open_memstream(&text, &len);
    if (!out) return NULL;
    fputs(header, out);
    for (const struct mb_tuning_entry *e = cache->first; e; e = e->next)
        if (skip > 0)
            skip--;
        else
            fprintf(out, "%s\t%s\n", e->key, e->value);
    const bool whole = fflush(out) == 0;
    if (whole) fprintf(out, "check %016" PRIx64 "\n", mb_random_stream(text));
    if (fclose(out) == 0 && whole) return text;
    free(text);
    return NULL;
}

static void replace(const char *path, const char *text) {
    struct mb_outfile *file;
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) return;
    if (mb_outfile_open(path, &file, NULL) != MB_OK) return;
    fputs(text, mb_outfile_stream(file));
    (void)mb_outfile_commit_cache(file, NULL);
}

void mb_tuning_cache_save(struct mb_tuning_cache *cache) {
    const char *path = path_of(cache);
    struct mb_tuning_cache merged = {.arena = cache->arena, .folder = cache->folder};
    bool is_news = false;
    for (const struct mb_tuning_entry *e = cache->first; e; e = e->next) is_news |= e->is_new;
    if (!path || !is_news) return;
    mb_tuning_cache_load(&merged);
    for (struct mb_tuning_entry *e = cache->first; e; e = e->next) {
        if (e->is_new) put(&merged, e->key, e->value, false);
        e->is_new = false;
    }
    char *text = render(&merged);
    make_folder(cache->folder);
    if (text) replace(path, text);
    free(text);
}
