/* worker_files.c - directories of the workers. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker_files.h"

#define DEPTH_MOST 40

static void remove_below(int parent, const char *name, unsigned depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct dirent *entry;
    DIR *d;

    if (fd < 0)
        return;
    d = fdopendir(fd);
    if (!d) {
        close(fd);
        return;
    }
    while ((entry = readdir(d)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(d), entry->d_name, 0) == 0 || depth == 0)
            continue;
        remove_below(dirfd(d), entry->d_name, depth - 1);
        unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR);
    }
    closedir(d);
}

void worker_remove_directory(const char *name)
{
    remove_below(AT_FDCWD, name, DEPTH_MOST);
    rmdir(name);
}

/* mix - FNV-1a, over the bytes of one entry. */
static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const unsigned char *bytes = p;

    for (size_t i = 0; i < n; i++)
        h = (h ^ bytes[i]) * 0x100000001b3ULL;
    return h;
}

/* is_bookkeeping - of freshclam, which writes it whenever it has looked. */
static bool is_bookkeeping(const char *name)
{
    return name[0] == '.' || strcmp(name, "freshclam.dat") == 0 || strcmp(name, "mirrors.dat") == 0;
}

uint64_t worker_stamp(const char *directory)
{
    DIR *d = opendir(directory);
    struct dirent *entry;
    uint64_t sum = 1;

    if (!d)
        return 0;
    while ((entry = readdir(d)) != NULL) {
        uint64_t h = 0xcbf29ce484222325ULL;
        struct stat st;

        if (is_bookkeeping(entry->d_name) || fstatat(dirfd(d), entry->d_name, &st, 0) != 0 || !S_ISREG(st.st_mode))
            continue;
        h = mix(h, entry->d_name, strlen(entry->d_name));
        h = mix(h, &st.st_ino, sizeof st.st_ino);
        h = mix(h, &st.st_size, sizeof st.st_size);
        h = mix(h, &st.st_mtim.tv_sec, sizeof st.st_mtim.tv_sec);
        h = mix(h, &st.st_mtim.tv_nsec, sizeof st.st_mtim.tv_nsec);
        sum += h; /* in whatever order they come */
    }
    closedir(d);
    return sum ? sum : 1;
}
