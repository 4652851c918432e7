/* clock.c - CLOCK_MONOTONIC, CLOCK_REALTIME and getloadavg(), or what a test says they are. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "arena.h"
#include "clock.h"

#define LOAD_KEPT_MS 10000

static struct {
    bool time, load;
    int64_t wall_ms;
    int64_t mono_ms;
    double load_value;
} script;

static struct {
    pthread_mutex_t lock;
    int64_t until;
    bool known;
    double load;
} cached_load = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t system_micros(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t system_ms(clockid_t id)
{
    return system_micros(id) / 1000;
}

int64_t clock_ms(void)
{
    return script.time ? script.mono_ms : system_ms(CLOCK_MONOTONIC);
}

int64_t clock_micros(void)
{
    return script.time ? script.mono_ms * 1000 : system_micros(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
    return script.time ? script.wall_ms : system_ms(CLOCK_REALTIME);
}

bool clock_load(double *load)
{
    int64_t now = clock_ms();
    bool known;

    if (script.load) {
        *load = script.load_value;
        return script.load_value >= 0;
    }
    pthread_mutex_lock(&cached_load.lock);
    if (now >= cached_load.until) {
        cached_load.known = getloadavg(&cached_load.load, 1) == 1;
        cached_load.until = now + LOAD_KEPT_MS;
    }
    *load = cached_load.load;
    known = cached_load.known;
    pthread_mutex_unlock(&cached_load.lock);
    return known;
}

void clock_script_wall(int64_t wall_ms)
{
    script.time = true;
    script.wall_ms = wall_ms;
    if (script.mono_ms == 0)
        script.mono_ms = 1000;
}

void clock_script_advance(int64_t ms)
{
    script.wall_ms += ms;
    script.mono_ms += ms;
}

void clock_script_load(double load)
{
    script.load = true;
    script.load_value = load;
}

void clock_script_end(void)
{
    script.time = script.load = false;
}

bool clock_is_scripted(void)
{
    return script.time;
}

struct str clock_rfc3339(struct arena *a, int64_t wall_ms)
{
    time_t t = (time_t)(wall_ms / 1000);
    struct tm tm;

    if (!gmtime_r(&t, &tm))
        return STR("-");
    return arena_printf(a, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                        tm.tm_min, tm.tm_sec);
}

bool clock_parse_rfc3339(struct str text, int64_t *wall_ms)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    long part[6] = {0};
    size_t k = 0;
    struct tm tm = {0};

    if (text.n != sizeof form - 1)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (form[i] != 'd') {
            if (text.p[i] != form[i])
                return false;
            k++;
        } else if (text.p[i] < '0' || text.p[i] > '9') {
            return false;
        } else {
            part[k] = part[k] * 10 + (text.p[i] - '0');
        }
    }
    if (part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31 || part[3] > 23 || part[4] > 59 || part[5] > 60)
        return false;
    tm.tm_year = (int)part[0] - 1900;
    tm.tm_mon = (int)part[1] - 1;
    tm.tm_mday = (int)part[2];
    tm.tm_hour = (int)part[3];
    tm.tm_min = (int)part[4];
    tm.tm_sec = (int)part[5];
    *wall_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}
