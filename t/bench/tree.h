/* tree.h - what a process and its descendants use, read from /proc. */
#ifndef T_BENCH_TREE_H
#define T_BENCH_TREE_H

#include <stdbool.h>
#include <sys/types.h>

struct tree_use {
    double cpu_s;             /* user and system time, of children that have ended too */
    unsigned long private_kb; /* Private_Clean and Private_Dirty */
    unsigned files;           /* open descriptors */
    unsigned processes, threads;
};

/* tree_read - false when the process `root` itself is not there, or cannot be read. */
bool tree_read(pid_t root, struct tree_use *use);

/* tree_cpu - cpu_s alone, which is cheap; negative when it cannot be read. */
double tree_cpu(pid_t root);

#endif
