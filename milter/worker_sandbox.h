/* worker_sandbox.h - what a server and its jobs give up for ever.
 *
 * Which system calls there are is a seccomp filter's business, which files there are is Landlock's (a filter sees no
 * names). Where the kernel has no Landlock, a job that needs files gets an empty root directory of its own by chroot(),
 * for which the server keeps that one capability in a user namespace; where it may not do that either, nothing that needs
 * files is done at all. A job that needs none cannot name any, whatever the kernel has.
 */
#ifndef WORKER_SANDBOX_H
#define WORKER_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* sandbox_prepare - makes both filters, so that a job need not. */
bool sandbox_prepare(struct arena *a, struct str *why);

/* sandbox_server - from here on: no exec, no network, no socket; of all files only `directory` (to read; NULL: none)
 * and `tmp`, which it may also remove. (Without Landlock all files that its user may read: strangers' bytes are its
 * jobs' alone.) */
bool sandbox_server(struct arena *a, const char *directory, const char *tmp, struct str *why);

bool sandbox_by_root(void); /* after that: there is no Landlock */

/* sandbox_loaded - the server is as large now as it will be; its jobs' limit of memory lies above that. */
void sandbox_loaded(void);

/* sandbox_job - beyond that: no fork, no signals, no file but below the current directory, and none at all without
 * `files`; so many seconds of CPU. */
bool sandbox_job(struct arena *a, bool files, uint64_t ms, struct str *why);

#include "base/banned.h"
#endif
