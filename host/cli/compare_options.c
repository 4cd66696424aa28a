#include "compare_options.h"

#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int mb_compared_exit(const struct mb_compared *c, bool fail_on_inconclusive) {
    if (c->n_invalid) return MB_EXIT_INVALID;
    if (c->n_regressions) return MB_EXIT_REGRESSION;
    return c->n_inconclusive && fail_on_inconclusive ? MB_EXIT_INCONCLUSIVE : MB_EXIT_OK;
}

static bool is_file_name(const char *name) {
    const size_t len = strlen(name);
    return strpbrk(name, "/#") || (len > 5 && strcmp(name + len - 5, ".json") == 0);
}

static bool is_plain(const char *name) {
    if (!*name || *name == '.' || strlen(name) > 100) return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("._-", *name)) return false;
    return true;
}

/* Makes each folder of a path that ends in a file's name. */
static bool make_folders(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const bool there = mkdir(path, 0777) == 0 || errno == EEXIST;
        *slash = '/';
        if (!there) return false;
    }
    return true;
}

bool mb_baseline_path(const char *name, bool make, char **path) {
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    const bool xdg = data && *data == '/';
    int len;
    if (is_file_name(name)) {
        len = asprintf(path, "%s", name);
    } else if (!is_plain(name)) {
        mb_cli_error(
            MB_EXIT_USAGE,
            "baseline %s: no name of letters, digits, dots, dashes and underscores; a file "
            "has a slash in it or ends in .json",
            name);
        return false;
    } else if (!xdg && (!home || *home != '/')) {
        mb_cli_error(MB_EXIT_USAGE,
                     "baseline %s: neither XDG_DATA_HOME nor HOME says where baselines are kept; "
                     "name a file, for example ./%s.json",
                     name, name);
        return false;
    } else {
        len = asprintf(path, "%s%s/mindbench/baselines/%s.json", xdg ? data : home,
                       xdg ? "" : "/.local/share", name);
    }
    if (len < 0) {
        mb_cli_error(MB_EXIT_USAGE, "baseline %s: no memory for its name", name);
        return false;
    }
    if (make && !is_file_name(name) && !make_folders(*path)) {
        mb_cli_error(MB_EXIT_USAGE,
                     "baseline %s: cannot make the folders of %s: %s; name a file instead", name,
                     *path, strerror(errno));
        free(*path);
        return false;
    }
    return true;
}
