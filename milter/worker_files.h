/* worker_files.h - directories: what jobs left in theirs, and whether that of the signatures has changed. */
#ifndef WORKER_FILES_H
#define WORKER_FILES_H

#include <stdbool.h>
#include <stdint.h>

void worker_remove_directory(const char *name); /* with everything in it; no link is followed */

/* worker_stamp - changes when a file of signatures comes, goes or changes; 0: the directory cannot be read. */
uint64_t worker_stamp(const char *directory);

#include "base/banned.h"
#endif
