/* dkim_check.c - `dkim check`: whether the DNS has the keys that we sign with. */
#include <jansson.h>
#include <sysexits.h>

#include "../auth/dkim_tags.h"
#include "../base/clock.h"
#include "../config.h"
#include "dkim.h"

#define WAIT_MS 15000

struct found {
    const char *word;   /* "published", ... */
    struct str problem; /* empty: it can be used */
};

static struct found compare(struct ctl *ctl, const struct dkim_key *key, const struct dns_answer *answer)
{
    struct arena *a = ctl->arena;
    struct dkim_public want, got;
    struct found f = {"missing", STR("there is no record")};

    if (answer->status == DNS_FAIL)
        return (struct found){"unknown", arena_printf(a, "the DNS does not tell: %s", answer->why)};
    if (answer->status != DNS_OK)
        return f;
    if (answer->count > 1)
        return (struct found){"wrong", arena_printf(a, "there are %zu records", answer->count)};
    dkim_public_parse(a, dkim_record(a, key), key->algorithm, &want);
    dkim_public_parse(a, answer->records[0].text, key->algorithm, &got);
    if (got.problem)
        return (struct found){"wrong", str_of(got.problem)};
    if (!str_is(want.p, got.p))
        return (struct found){"wrong", STR("it is another key")};
    return (struct found){"published", got.testing ? STR("but marked as a test (t=y)") : STR_NONE};
}

static void say(struct ctl *ctl, json_t *list, struct str name, const struct dkim_domain *d, const struct dkim_key *key,
                const struct found *f)
{
    if (ctl->json)
        json_array_append_new(list, json_pack("{s:s%, s:s, s:b, s:s, s:s%}", "name", name.p, name.n, "algorithm",
                                              dkim_algorithm_words[key->algorithm], "signs", dkim_ctl_signs(d, key),
                                              "result", f->word, "problem", f->problem.n ? f->problem.p : "",
                                              f->problem.n));
    else
        printf("%-9s " STR_FMT " (%s%s)%s" STR_FMT "\n", f->word, STR_ARG(name), dkim_algorithm_words[key->algorithm],
               dkim_ctl_signs(d, key) ? "" : ", does not sign", f->problem.n ? ": " : "", STR_ARG(f->problem));
}

static int check(struct ctl *ctl, const struct dkim_domain *d)
{
    struct dns_question **questions = arena_array(ctl->arena, d->count, sizeof *questions);
    json_t *list = json_array(), *all;
    int64_t deadline = clock_ms() + WAIT_MS;
    bool fine = true;

    for (size_t i = 0; i < d->count; i++)
        questions[i] = dns_ask(ctl->arena, NULL, dkim_ctl_name(ctl, d, &d->all[i]), DNS_TXT);
    for (size_t i = 0; i < d->count; i++) {
        struct found f = compare(ctl, &d->all[i], dns_harvest(questions[i], deadline));

        fine = fine && f.problem.n == 0;
        say(ctl, list, dkim_ctl_name(ctl, d, &d->all[i]), d, &d->all[i], &f);
    }
    if (ctl->json) {
        all = json_pack("{s:s%, s:b, s:O}", "domain", d->name.p, d->name.n, "fine", fine, "keys", list);
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
    }
    json_decref(list);
    return fine ? CTL_FINE : CTL_FINDINGS;
}

static int run(struct ctl *ctl)
{
    const char *words[1], *zone = NULL;
    const struct dkim_domain *d;
    struct config *config;
    struct str domain;
    int status;

    if (!dkim_ctl_arguments(ctl, &ctl_dkim_check, &domain, words, 1, &zone, &status))
        return status;
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    d = dkim_ctl_keys(ctl, config->global.key_dir, domain);
    if (!d)
        fprintf(stderr, "%s has no key in %s\n", str_c(ctl->arena, domain),
                str_c(ctl->arena, str_escaped(ctl->arena, config->global.key_dir)));
    status = d ? ctl_dns_begin(ctl, config, zone) : CTL_FINDINGS;
    if (d && status == CTL_FINE) {
        status = check(ctl, d);
        ctl_dns_end();
    }
    config_unref(&config);
    return status;
}

const struct ctl_command ctl_dkim_check = {
    .words = "dkim check",
    .usage = "DOMAIN [--dns ZONEFILE]",
    .summary = "Compare a domain's keys with what the DNS publishes",
    .help = "  DOMAIN          a directory of key_dir\n"
            "  --dns ZONEFILE  answers from this file instead of the DNS, as with `test`\n"
            "Prints for each key: published, missing, wrong or unknown.\n"
            "exit: 0 every key can be used, 1 one cannot\n",
    .run = run,
};
