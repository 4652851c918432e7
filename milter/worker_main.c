/* worker_main.c - sme-milter-worker, which nobody but sme-milter starts. */
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker_server.h"

int main(int argc, char **argv)
{
    static const struct worker_kind *const kinds[] = {&worker_kind_scan, &worker_kind_tnef};

    if (argc != 4) {
        fputs("sme-milter-worker is a part of sme-milter, which starts it.\n", stderr);
        return EX_USAGE;
    }
    /* Not by way of what runs at exit, which the sandbox may not let it do. */
    _exit(worker_serve(kinds, sizeof kinds / sizeof kinds[0], argc - 1, argv + 1));
}
