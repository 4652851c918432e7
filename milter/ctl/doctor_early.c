/* doctor_early.c - where the policy earlytalker sees nothing, or asks clients to wait who have waited already. */
#include <errno.h>
#include <sys/stat.h>

#include "doctor.h"

enum { PID_MOST = 32 };

static const char elsewhere[] = "let Postfix look itself: postconf -e 'smtpd_forbid_unauth_pipelining = yes'";

static bool has_policy(const struct profile *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (str_is(str_of(p->instances[i].policy->name), STR("earlytalker")))
            return true;
    return false;
}

/* proxy_parameter - by which a proxy in front says who the client is; NULL when there is none. Only the service that
 * answers the proxy has it set: behind postscreen, that one. */
static const char *proxy_parameter(struct doctor *d, const struct postfix_service *s)
{
    if (str_is(s->type, STR("pass")))
        return postfix_value(&d->postfix, NULL, "postscreen_upstream_proxy_protocol").n
                   ? "postscreen_upstream_proxy_protocol" : NULL;
    return postfix_value(&d->postfix, s, "smtpd_upstream_proxy_protocol").n ? "smtpd_upstream_proxy_protocol" : NULL;
}

void doctor_early(struct doctor *d, const struct postfix_service *s, const struct profile *p)
{
    const char *proxy;

    if (!has_policy(p))
        return;
    proxy = proxy_parameter(d, s);
    if (proxy)
        doctor_says(d, DOCTOR_NOTE, "early", s, str_of(elsewhere),
                    "%s is set: the clients' connections end at the proxy, and earlytalker (profile " STR_FMT
                    ") cannot see who talks too early", proxy, STR_ARG(p->name));
    if (str_is(s->type, STR("pass")))
        doctor_says(d, DOCTOR_NOTE, "early", s,
                    arena_printf(d->arena, "set earlytalker { enabled = no } in profile \"" STR_FMT "\" of "
                                 "sme-milter.conf, and have postscreen_greet_action = enforce",
                                 STR_ARG(str_escaped(d->arena, p->name))),
                    "postscreen stands in front and looks for early talkers itself; earlytalker (profile " STR_FMT
                    ") has its clients wait once more", STR_ARG(p->name));
}

/* ---- network namespaces ---- */

/* master_pid - of the running Postfix, by the file it keeps; 0 when it does not run or we may not look. */
static long master_pid(struct doctor *d)
{
    struct str queue = postfix_value(&d->postfix, NULL, "queue_directory");
    FILE *f = fopen(arena_printf(d->arena, STR_FMT "/pid/master.pid", STR_ARG(queue)).p, "re");
    char line[PID_MOST];
    long pid = 0;

    if (!f)
        return 0;
    if (!fgets(line, sizeof line, f) || !str_to_long(str_trim(str_of(line)), &pid) || pid < 1)
        pid = 0;
    fclose(f);
    return pid;
}

void doctor_namespace(struct doctor *d)
{
    struct stat ours, theirs;
    long pid;

    if (!config_uses(d->config, "earlytalker"))
        return;
    pid = master_pid(d);
    if (!pid || stat("/proc/self/ns/net", &ours) != 0 ||
        stat(arena_printf(d->arena, "/proc/%ld/ns/net", pid).p, &theirs) != 0)
        return; /* Postfix does not run now, or only root may look */
    if (ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)
        doctor_says(d, DOCTOR_NOTE, "early", NULL, str_of(elsewhere),
                    "Postfix (process %ld) runs in a network namespace of its own: from here earlytalker cannot see "
                    "who talks too early", pid);
}
