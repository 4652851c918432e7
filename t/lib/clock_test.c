/* clock_test.c - puts itself before clock.c in the test daemon (ld --wrap): time and load are what the scenario says.
 *
 * Durations go on, since the daemon waits for things; only what a scenario lets pass is added to them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

#include "milter/base/clock.h"
#include "milter/base/log.h"

int64_t __real_clock_ms(void);
int64_t __real_clock_wall_ms(void);
bool __real_clock_load(double *load);
int64_t __wrap_clock_ms(void);
int64_t __wrap_clock_wall_ms(void);
bool __wrap_clock_load(double *load);

static const struct world *world;

__attribute__((constructor)) static void world_map(void)
{
    const char *path = getenv(WORLD_ENV);
    void *p = MAP_FAILED;
    int fd;

    if (!path)
        return;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        p = mmap(NULL, sizeof *world, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
    }
    if (p == MAP_FAILED)
        log_panic("%s cannot be mapped", path);
    world = p;
}

int64_t __wrap_clock_ms(void)
{
    return __real_clock_ms() + (world ? world->passed_ms : 0);
}

int64_t __wrap_clock_wall_ms(void)
{
    return world ? world->wall_ms : __real_clock_wall_ms();
}

bool __wrap_clock_load(double *load)
{
    if (!world)
        return __real_clock_load(load);
    *load = (double)world->load_hundredths / 100;
    return world->load_hundredths >= 0;
}
