/* doctor.h - what the parts of `postfix doctor` share: the patient, and how to say what is wrong with it. */
#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include "ctl.h"
#include "wiring.h"

/* Notes tell what could not be checked, or is as it may be; they are no findings. */
enum doctor_level { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_PROBLEM };

struct diagnosis {
    enum doctor_level level;
    const char *check;     /* its name: "chroot" */
    struct str where;      /* the services it is about, or empty */
    struct str text;       /* escaped */
    struct str remedy;     /* a command or a few lines; empty when there is nothing to do */
};

struct doctor {
    struct ctl *ctl;
    struct arena *arena;
    const struct config *config;
    struct postfix postfix;
    struct endpoint ours;
    struct str ours_text;  /* as smtpd_milters should have it */
    struct waits waits;
    struct str config_dir;
    const char *resolv_conf; /* NULL: the system's */
    struct diagnosis *items;
    size_t count;
    size_t findings;       /* warnings and problems said so far, repeated ones too */
};

/* doctor_says - one line of the result. The same words about another service only lengthen `where`. Outside bytes in
 * the arguments are escaped here. service may be NULL. */
void doctor_says(struct doctor *d, enum doctor_level level, const char *check, const struct postfix_service *service,
                 struct str remedy, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* doctor_sound - the line for a check that found nothing since d->findings was `before`. */
void doctor_sound(struct doctor *d, size_t before, const char *check, const struct postfix_service *service,
                  const char *text);

/* remedy_set - the command that sets NAME where it is wrong: in the service's own options if it overrides NAME there,
 * else in main.cf. Empty when the command cannot be written (blanks in a service's option): the text must do. */
struct str remedy_set(struct doctor *d, const struct postfix_service *service, const char *name, struct str value);

/* The checks, by file. */
void doctor_socket(struct doctor *d);   /* doctor_socket.c: alive, and reachable as Postfix's user */
void doctor_services(struct doctor *d); /* doctor_services.c: each smtpd of master.cf */
void doctor_edits(struct doctor *d);    /* doctor_edits.c: what changes messages behind our back */
void doctor_early(struct doctor *d, const struct postfix_service *s, const struct profile *p); /* doctor_early.c: does
    earlytalker see this service's clients? */
void doctor_namespace(struct doctor *d); /* ... and those of any? */
void doctor_host(struct doctor *d);     /* postfix_doctor.c: version, complaints, resolver */

#endif
