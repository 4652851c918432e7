/* suffix.c - libpsl, with the list that Debian keeps up to date. */
#include <libpsl.h>
#include <pthread.h>

#include "../base/arena.h"
#include "../base/ip.h"
#include "suffix.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const psl_ctx_t *list; /* read-only after the load, and kept for ever */

static void load(void)
{
    list = psl_latest(NULL);
    if (!list)
        list = psl_builtin();
}

struct str domain_organizational(struct str name)
{
    char text[256];
    const char *found;
    struct ip ip;

    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n >= sizeof text || ip_parse(name, &ip) || name.p[0] == '[')
        return name;
    for (size_t i = 0; i < name.n; i++)
        text[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] + 'a' - 'A') : name.p[i];
    text[name.n] = '\0';
    pthread_once(&once, load);
    found = list ? psl_registrable_domain(list, text) : NULL;
    return found ? str_slice(name, (size_t)(found - text), name.n) : name;
}

bool domain_same_organization(struct str a, struct str b)
{
    struct str x = domain_organizational(a), y = domain_organizational(b);

    return x.n > 0 && str_is_nocase(x, y);
}
