/* tree.c - what a process and its descendants use, read from /proc. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tree.h"

#define PROCESSES_MAX 256

/* list_children - the children of every thread of `pid`, added to the list; returns the number of threads. */
static unsigned list_children(pid_t pid, pid_t *list, size_t *count)
{
    char path[64];
    unsigned threads = 0;
    struct dirent *entry;
    DIR *tasks;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    tasks = opendir(path);
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        char file[400];
        int child;
        FILE *f;

        if (entry->d_name[0] == '.')
            continue;
        threads++;
        snprintf(file, sizeof file, "%s/%s/children", path, entry->d_name);
        f = fopen(file, "r");
        while (f != NULL && *count < PROCESSES_MAX && fscanf(f, "%d", &child) == 1)
            list[(*count)++] = child;
        if (f != NULL)
            fclose(f);
    }
    if (tasks != NULL)
        closedir(tasks);
    return threads;
}

/* process_cpu - seconds, or -1. The name in parentheses may hold anything: fields are counted behind its end. */
static double process_cpu(pid_t pid)
{
    unsigned long long user, kernel, children_user, children_kernel;
    char path[64], line[1024];
    const char *behind;
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "r");
    if (f == NULL)
        return -1;
    n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[n] = '\0';
    behind = strrchr(line, ')');
    if (behind == NULL
        || sscanf(behind + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu", &user, &kernel,
                  &children_user, &children_kernel) != 4)
        return -1;
    return (double)(user + kernel + children_user + children_kernel) / (double)sysconf(_SC_CLK_TCK);
}

static unsigned long process_private(pid_t pid)
{
    unsigned long total = 0, kb;
    char path[64], line[256];
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "Private_Clean: %lu", &kb) == 1 || sscanf(line, "Private_Dirty: %lu", &kb) == 1)
            total += kb;
    if (f != NULL)
        fclose(f);
    return total;
}

static unsigned process_files(pid_t pid)
{
    char path[64];
    unsigned count = 0;
    struct dirent *entry;
    DIR *files;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    files = opendir(path);
    while (files != NULL && (entry = readdir(files)) != NULL)
        count += entry->d_name[0] != '.';
    if (files != NULL)
        closedir(files);
    return count;
}

bool tree_read(pid_t root, struct tree_use *use)
{
    pid_t list[PROCESSES_MAX] = {root};
    size_t count = 1;

    *use = (struct tree_use){0};
    for (size_t i = 0; i < count; i++) {
        double cpu = process_cpu(list[i]);
        unsigned long private_kb = process_private(list[i]);

        if (cpu < 0 || private_kb == 0) {
            if (i == 0)
                return false;
            continue; /* ended since it was listed */
        }
        use->cpu_s += cpu;
        use->private_kb += private_kb;
        use->files += process_files(list[i]);
        use->threads += list_children(list[i], list, &count);
        use->processes++;
    }
    return true;
}

double tree_cpu(pid_t root)
{
    pid_t list[PROCESSES_MAX] = {root};
    size_t count = 1;
    double total = 0;

    for (size_t i = 0; i < count; i++) {
        double cpu = process_cpu(list[i]);

        if (cpu < 0 && i == 0)
            return -1;
        if (cpu > 0)
            total += cpu;
        list_children(list[i], list, &count);
    }
    return total;
}
