/* worker_inside.h - what worker.c, which keeps the servers, and worker_job.c, which uses them, share. */
#ifndef WORKER_INSIDE_H
#define WORKER_INSIDE_H

#include <pthread.h>
#include <sys/types.h>

#include "base/arena.h"
#include "worker.h"
#include "worker_frame.h"

#define CREWS_MOST 8
#define SERVERS_MOST 32 /* with those that are ending */
#define WORKER_PROGRAM "sme-milter-worker"
#define PATH_ROOM 512
#define TEXT_ROOM 512

enum server_state { SERVER_FREE, SERVER_LOADING, SERVER_SERVING, SERVER_ENDING };

struct server {
    enum server_state state;
    pid_t pid;
    int fd;              /* -1: closed */
    int64_t since;       /* clock_ms() of the state's beginning */
    bool killed;
    uint64_t stamp;      /* of the signatures, looked at before it began to load */
    unsigned long number; /* of those that were started */
    bool doubted;        /* a job hears nothing */
    int64_t pinged;      /* when it was asked whether it lives, by the machine's clock; 0: it was not, or answered */
    char tmp[PATH_ROOM];
    char version[TEXT_ROOM]; /* of its signatures */
};

/* The servers of one kind of work: one that serves, and at times one that will replace it. */
struct crew {
    bool wanted;
    char kind[16], directory[PATH_ROOM];
    struct server *serving, *loading; /* NULL: none */
    int64_t start_at, backoff;
    int64_t look_at;
    uint64_t seen;         /* the stamp at the last look */
    uint64_t failed;       /* the stamp with which loading failed; 0: it did not */
    char why[TEXT_ROOM];   /* nothing serves; empty: it is being loaded */
    unsigned long silent;  /* the number of the last server that was killed for its silence */
};

extern struct workers {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a server serves, a slot is free, loading has failed */
    bool running, stopping;
    unsigned slots;         /* jobs at once, of each kind of work: who waits for a winmail.dat may have a scan running */
    unsigned scans, unpacking; /* how many of them there are */
    struct crew crews[CREWS_MOST];
    struct server servers[SERVERS_MOST];
    unsigned long starts;
} workers;

/* worker_crew - under the lock; NULL: there is none. */
struct crew *worker_crew(const char *kind, struct str directory);

int worker_open_program(const char *named); /* NULL: beside this one, or where it was installed; -1: errno says why */

/* worker_spawn - its pid is in the server; `theirs` is its end of the control socket. False: errno says why. */
bool worker_spawn(struct server *s, const struct crew *c, int program, int theirs);

/* worker_doubt - under the lock: a job of this server hears nothing; it is asked whether it lives. */
void worker_doubt(struct server *s);

/* worker_broken - under the lock: its control socket does not take a job. */
void worker_broken(struct server *s);

#include "base/banned.h"
#endif
