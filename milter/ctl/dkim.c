/* dkim.c - `dkim show`, and what the three commands share. */
#include <jansson.h>
#include <string.h>
#include <sysexits.h>

#include "../config.h"
#include "dkim.h"

#define STRING_MOST 255 /* bytes of one string in a TXT record (RFC 1035, 3.3) */

bool dkim_ctl_arguments(struct ctl *ctl, const struct ctl_command *command, struct str *domain, const char **words,
                        size_t most, const char **zone, int *status)
{
    size_t count = 0;
    const char *value;

    memset(words, 0, most * sizeof *words);
    *status = EX_USAGE;
    for (int i = 1; i < ctl->argc; i++) {
        if (zone && (value = ctl_option(ctl, command, &i, "--dns"))) {
            *zone = value;
        } else if (ctl->argv[i][0] == '-') {
            ctl_usage(command, "there is no option %s", str_c(ctl->arena, str_escaped(ctl->arena,
                str_of(ctl->argv[i]))));
            return false;
        } else if (count == most) {
            ctl_usage(command, "takes %s", most == 1 ? "one domain" : "a domain and a selector");
            return false;
        } else {
            words[count++] = ctl->argv[i];
        }
    }
    if (count == 0) {
        ctl_usage(command, "needs a domain");
        return false;
    }
    *domain = dkim_ascii(ctl->arena, str_of(words[0]));
    if (domain->n)
        return true;
    fprintf(stderr, "sme-milterctl %s: \"%s\" is no domain\n", command->words,
            str_c(ctl->arena, str_escaped(ctl->arena, str_of(words[0]))));
    *status = EX_DATAERR;
    return false;
}

const struct dkim_domain *dkim_ctl_keys(struct ctl *ctl, struct str key_dir, struct str domain)
{
    struct problems problems = {.arena = ctl->arena};
    const struct dkim_keys *keys = dkim_keys_load(ctl->arena, key_dir, &problems);

    for (size_t i = 0; i < problems.count; i++)
        fprintf(stderr, STR_FMT "\n", STR_ARG(problem_text(ctl->arena, &problems.items[i])));
    for (size_t i = 0; i < keys->count; i++)
        if (str_is(keys->domains[i].name, domain))
            return &keys->domains[i];
    return NULL;
}

struct str dkim_ctl_name(struct ctl *ctl, const struct dkim_domain *d, const struct dkim_key *key)
{
    return arena_printf(ctl->arena, STR_FMT "._domainkey." STR_FMT, STR_ARG(key->selector), STR_ARG(d->signs_as));
}

bool dkim_ctl_signs(const struct dkim_domain *d, const struct dkim_key *key)
{
    return d->key[key->algorithm] == key;
}

/* print_record - "name. IN TXT ( "..." "..." )". */
static void print_record(struct str name, struct str record)
{
    printf(STR_FMT ".\tIN\tTXT\t(", STR_ARG(name));
    for (struct str part; record.n; record = str_slice(record, part.n, record.n)) {
        part = str_slice(record, 0, STRING_MOST);
        printf(" \"" STR_FMT "\"", STR_ARG(part));
    }
    printf(" )\n");
}

static json_t *json_key(struct ctl *ctl, const struct dkim_domain *d, const struct dkim_key *key)
{
    struct str name = dkim_ctl_name(ctl, d, key), record = dkim_record(ctl->arena, key);

    return json_pack("{s:s%, s:s, s:s%, s:s%, s:b}", "selector", key->selector.p, key->selector.n, "algorithm",
                     dkim_algorithm_words[key->algorithm], "name", name.p, name.n, "record", record.p, record.n,
                         "signs",
                     dkim_ctl_signs(d, key));
}

static bool is_wanted(struct str only, struct str selector)
{
    struct str one;

    if (only.n == 0)
        return true;
    while (str_split(&only, ',', &one))
        if (str_is(one, selector))
            return true;
    return false;
}

void dkim_ctl_print(struct ctl *ctl, const struct dkim_domain *d, struct str only_selectors)
{
    json_t *list = json_array(), *all;

    for (size_t i = 0; i < d->count; i++) {
        const struct dkim_key *key = &d->all[i];

        if (!is_wanted(only_selectors, key->selector))
            continue;
        if (ctl->json) {
            json_array_append_new(list, json_key(ctl, d, key));
            continue;
        }
        printf("; " STR_FMT ": %s%s\n", STR_ARG(str_escaped(ctl->arena, key->file)),
               dkim_algorithm_words[key->algorithm],
               dkim_ctl_signs(d, key) ? "" : ", does not sign: there is a later one");
        print_record(dkim_ctl_name(ctl, d, key), dkim_record(ctl->arena, key));
    }
    if (ctl->json) {
        all = json_pack("{s:s%, s:s%, s:O}", "domain", d->name.p, d->name.n, "signs_as", d->signs_as.p, d->signs_as.n,
                        "keys", list);
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
    }
    json_decref(list);
}

static int run(struct ctl *ctl)
{
    const char *words[1];
    const struct dkim_domain *d;
    struct config *config;
    struct str domain;
    int status;

    if (!dkim_ctl_arguments(ctl, &ctl_dkim_show, &domain, words, 1, NULL, &status))
        return status;
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    d = dkim_ctl_keys(ctl, config->global.key_dir, domain);
    if (d)
        dkim_ctl_print(ctl, d, STR_NONE);
    else
        fprintf(stderr, "%s has no key in %s\n", str_c(ctl->arena, domain),
                str_c(ctl->arena, str_escaped(ctl->arena, config->global.key_dir)));
    config_unref(&config);
    return d ? CTL_FINE : CTL_FINDINGS;
}

const struct ctl_command ctl_dkim_show = {
    .words = "dkim show",
    .usage = "DOMAIN",
    .summary = "Print the DNS records of a domain's keys",
    .help = "  DOMAIN  a directory of key_dir\n"
            "exit: 0 fine, 1 there is no key\n",
    .run = run,
};
