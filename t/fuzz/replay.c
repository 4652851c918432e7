/* replay.c - run a fuzz target on files, where there is no libFuzzer: `replay-address FILE...`. Without arguments on
 * all files of its corpus, $srcdir/t/fuzz/corpus/address. Tells TAP; a broken promise aborts. */
#include <dirent.h>
#include <errno.h>

#include "../lib/tap.h"
#include "fuzz.h"

#define LARGEST (16 * 1024 * 1024)

static void replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data, *exact;
    size_t n;

    if (!f)
        bail("%s: %s", path, strerror(errno));
    data = malloc(LARGEST);
    if (!data)
        bail("out of memory");
    n = fread(data, 1, LARGEST, f);
    if (ferror(f))
        bail("%s: %s", path, strerror(errno));
    fclose(f);
    exact = malloc(n ? n : 1); /* a sanitizer sees one byte too far */
    if (!exact)
        bail("out of memory");
    memcpy(exact, data, n);
    ok(LLVMFuzzerTestOneInput(exact, n) == 0, "%s", path);
    free(exact);
    free(data);
}

static void replay_corpus(const char *program)
{
    const char *srcdir = getenv("srcdir"), *dash = strrchr(program, '-');
    struct arena *a = arena_new(0);
    struct dirent *entry;
    struct str dir;
    DIR *d;

    dir = arena_printf(a, "%s/t/fuzz/corpus/%s", srcdir ? srcdir : ".", dash ? dash + 1 : program);
    d = opendir(dir.p);
    if (!d)
        bail("%s: %s", dir.p, strerror(errno));
    while ((entry = readdir(d)) != NULL)
        if (entry->d_name[0] != '.')
            replay(arena_printf(a, "%s/%s", dir.p, entry->d_name).p);
    closedir(d);
    arena_free(&a);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    if (argc == 1)
        replay_corpus(argv[0]);
    return tap_end();
}
