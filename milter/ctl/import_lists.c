/* import_lists.c - the list files, and the old notation of their entries. */
#include "../mail/domain.h"
#include "../mail/pattern.h"
#include "import_inside.h"

void import_lists_begin(struct import *im)
{
    static const struct {
        const char *file, *policy, *option;
    } rows[LISTS] = {
        [LIST_BADHELO] = {"badhelo", "helo", "badhelo"},
        [LIST_BADMAILFROM] = {"badmailfrom", "badmailfrom", "senders"},
        [LIST_BADMAILFROMTO] = {"badmailfromto", "badmailfromto", "pairs"},
        [LIST_BADRCPTTO] = {"badrcptto", "badrcptto", "recipients"},
        [LIST_BADRCPTTO_EXT] = {"badrcptto_ext", "badrcptto_ext", "recipients"},
        [LIST_GOODRCPTTO] = {"goodrcptto", "goodrcptto", "recipients"},
        [LIST_DNSBL_ALLOW] = {"dnsbl_allow", "dnsbl", "allow"},
        [LIST_URIBL_ALLOW] = {"uribl_whitelist_domains", "uribl", "allow"},
        [LIST_PATTERNS] = {"signatures_patterns", "patterns", "signatures"},
        [LIST_BCC_IGNORE_FROM] = {"bcc_ignore_mailfrom", "bcc", "ignore_from"},
        [LIST_BCC_IGNORE_TO] = {"bcc_ignore_rcptto", "bcc", "ignore_to"},
        [LIST_KARMA_TLDS] = {"karma_tlds", "karma", "tlds"},
    };

    for (int i = 0; i < LISTS; i++) {
        struct import_list *list = &im->lists[i];

        *list = (struct import_list){.file = rows[i].file, .policy = rows[i].policy, .option = rows[i].option,
                                     .text = buf_in(im->a)};
        buf_addf(&list->text, "# %s - written by `sme-milterctl import sme`, which writes it anew each time; leave it "
                 "alone.\n", list->file);
    }
}

void import_list_add(struct import *im, enum import_lists which, struct sme_source from, struct str entry)
{
    struct import_list *list = &im->lists[which];

    if (list->count == 0 || !str_is(list->from.name, from.name))
        buf_addf(&list->text, "# " STR_FMT "\n", STR_ARG(from.name));
    list->from = from;
    list->count++;
    buf_add(&list->text, entry);
    buf_addc(&list->text, '\n');
}

/* ---- the old notation ---- */

static bool has_any(struct str text, const char *bytes)
{
    for (size_t i = 0; i < text.n; i++)
        if (strchr(bytes, text.p[i]))
            return true;
    return false;
}

/* is_meant_plain - user+tag@example.org was a regular expression to the original only because of its +. Nobody meant
 * that: it never matched itself. */
static bool is_meant_plain(struct str pattern)
{
    size_t at = str_rfind(pattern, '@');

    if (at == 0 || at == pattern.n || has_any(pattern, "^$*?\\()[]{}|") || pattern.p[0] == '/')
        return false;
    for (size_t i = 1; i < at; i++)
        if (pattern.p[i] == '+' && pattern.p[i - 1] == '.')
            return false;
    return domain_is_hostname(str_slice(pattern, at + 1, pattern.n), false);
}

static struct str quoted_regex(struct arena *a, struct str name)
{
    struct buf b = buf_in(a);

    buf_add(&b, STR("/^"));
    for (size_t i = 0; i < name.n; i++) {
        if (strchr("{}[]()^$|*+?\\.#-", name.p[i]))
            buf_addc(&b, '\\');
        buf_addc(&b, name.p[i]);
    }
    buf_add(&b, STR("$/"));
    return buf_str(&b);
}

/* translated - a pattern of the original in our notation. */
static struct str translated(struct import *im, enum import_lists which, struct str p)
{
    struct arena *a = im->a;

    if (which == LIST_BADHELO) {
        struct pattern_list scratch = {0};
        struct str error;

        if (p.n > 1 && p.p[0] == '!')
            return arena_printf(a, "/^(?!.*(?:" STR_FMT "))/", STR_ARG(str_slice(p, 1, p.n)));
        if (has_any(p, "{}[]()^$|*+?\\!"))
            return arena_printf(a, "/" STR_FMT "/", STR_ARG(p));
        return pattern_add(a, &scratch, PATTERN_HOSTS, false, p, &error) ? p : quoted_regex(a, p);
    }
    if (str_starts(p, STR("*@")) && domain_is_hostname(str_slice(p, 2, p.n), false))
        return str_slice(p, 1, p.n);
    if (!has_any(p, "/^$*+!%?\\") || is_meant_plain(p))
        return p;
    return arena_printf(a, "/" STR_FMT "/", STR_ARG(p));
}

void import_old_pattern(struct import *im, enum import_lists which, struct sme_source from, struct str line)
{
    struct pattern_list scratch = {0};
    struct str rest = line, pattern, entry, error = STR_NONE;
    enum pattern_of of = which == LIST_BADHELO ? PATTERN_HOSTS : PATTERN_ADDRESSES;

    if (!str_token(&rest, &pattern))
        return;
    if (str_starts(line, STR("$include"))) {
        import_left_out(&im->notes, from, "\"" STR_FMT "\": included files are not read; put their entries here",
                        STR_ARG(str_slice(line, 0, 80)));
        return;
    }
    if (which == LIST_BADHELO && im->db_dir.n &&
        (str_is(pattern, STR("aol.com")) || str_is(pattern, STR("yahoo.com")))) {
        import_notice(&im->notes, from, STR_FMT " is left out: SME Server put it there, and real clients have this "
                      "name today", STR_ARG(pattern));
        return;
    }
    rest = str_trim(rest);
    entry = translated(im, which, pattern);
    if (rest.n)
        entry = arena_printf(im->a, STR_FMT " " STR_FMT, STR_ARG(entry), STR_ARG(rest));
    if (!pattern_add(im->a, &scratch, of, false, entry, &error)) {
        import_left_out(&im->notes, from, "\"" STR_FMT "\" " STR_FMT, STR_ARG(str_slice(entry, 0, 200)),
                        STR_ARG(error));
        return;
    }
    import_list_add(im, which, from, entry);
}

/* ---- what the databases give ---- */

static void bad_names(struct import *im)
{
    static const char *const bad_rcpt[] = {"/!/ no UUCP addresses here", "/%/ no addresses with % here",
                                           "/@.*@/ no source routes here", "/^@/ no source routes here"};
    struct sme_source fixed = source_named(STR("badrcptto (the same on every SME Server)"), (struct place){0});
    struct sme_text ip = im->sme.external_ip;

    for (size_t i = 0; i < sizeof bad_rcpt / sizeof *bad_rcpt; i++)
        import_list_add(im, LIST_BADRCPTTO, fixed, str_of(bad_rcpt[i]));
    if (ip.value.n == 0)
        return;
    import_old_pattern(im, LIST_BADHELO, ip.from, ip.value);
    import_done(&im->notes, ip.from, "badhelo: " STR_FMT ", which is us and no client", STR_ARG(ip.value));
}

#define TOLD_MOST 50 /* hidden accounts that are named one by one */

static void hide(struct import *im, const struct sme_account *account, struct sme_source from, struct str domain)
{
    import_list_add(im, LIST_BADRCPTTO_EXT, from,
                    arena_printf(im->a, STR_FMT "@" STR_FMT, STR_ARG(account->name), STR_ARG(domain)));
}

/* hidden - the internal accounts in every domain whose mail stays here. */
static void hidden(struct import *im)
{
    const struct sme *s = &im->sme;
    size_t count = 0;

    for (size_t i = 0; i < s->account_count; i++) {
        const struct sme_account *account = &s->accounts[i];
        struct sme_source from = account->from;
        bool hostname = s->hostname.n > 0;

        if (!account->internal || !account->receives)
            continue;
        from.name = arena_printf(im->a, STR_FMT "{Visible}", STR_ARG(account->from.name));
        if (++count <= TOLD_MOST)
            import_done(&im->notes, from, "badrcptto_ext: strangers cannot write to it");
        if (str_find(account->name, '@') < account->name.n) {
            import_list_add(im, LIST_BADRCPTTO_EXT, from, account->name);
            continue;
        }
        for (size_t d = 0; d < s->domain_count; d++) {
            if (s->domains[d].mail_server.value.n == 0)
                hide(im, account, from, s->domains[d].name);
            hostname = hostname && !str_is(s->hostname, s->domains[d].name);
        }
        if (hostname)
            hide(im, account, from, s->hostname);
    }
    if (count > TOLD_MOST)
        import_done(&im->notes, source_named(STR("accounts{Visible}"), (struct place){im->accounts.file, 1}),
                    "badrcptto_ext: strangers cannot write to these and %zu further internal accounts",
                    count - TOLD_MOST);
}

/* recipients - everybody there is. */
static void recipients(struct import *im)
{
    static const char *const titles[] = {"accounts: users", "accounts: groups and lists", "accounts: pseudonyms",
                                         "accounts: i-bays", "accounts: of the system"};
    const struct sme *s = &im->sme;
    size_t of_kind[5] = {0};
    struct ip external;

    if (!im->has_accounts)
        return;
    for (int kind = SME_USER; kind <= SME_SYSTEM; kind++) {
        struct sme_source from = source_named(str_of(titles[kind]), (struct place){im->accounts.file, 0});

        if (kind == SME_SYSTEM) {
            import_list_add(im, LIST_GOODRCPTTO, from, STR("admin"));
            import_list_add(im, LIST_GOODRCPTTO, from, STR("root"));
        }
        for (size_t i = 0; i < s->account_count; i++) {
            struct str name = s->accounts[i].name;

            if ((int)s->accounts[i].kind != kind || !s->accounts[i].receives)
                continue;
            of_kind[kind]++;
            if (!str_is(name, STR("admin")) && !str_is(name, STR("root")))
                import_list_add(im, LIST_GOODRCPTTO, from, name);
        }
    }
    for (size_t d = 0; d < s->domain_count; d++)
        if (s->domains[d].mail_server.value.n)
            import_list_add(im, LIST_GOODRCPTTO, s->domains[d].mail_server.from,
                            arena_printf(im->a, "@" STR_FMT, STR_ARG(s->domains[d].name)));
    if (ip_parse(s->external_ip.value, &external)) /* RFC 5321, 4.5.1, of who has no DNS */
        import_list_add(im, LIST_GOODRCPTTO, s->external_ip.from,
                        arena_printf(im->a, "postmaster@[%s" STR_FMT "]", ip_is_v4(external) ? "" : "IPv6:",
                                     STR_ARG(ip_text(im->a, external))));
    import_done(&im->notes, source_named(STR("accounts"), (struct place){im->accounts.file, 1}),
                "goodrcptto: %zu users, %zu groups and lists, %zu pseudonyms, %zu i-bays, %zu of the system",
                of_kind[SME_USER], of_kind[SME_GROUP], of_kind[SME_PSEUDONYM], of_kind[SME_IBAY], of_kind[SME_SYSTEM]);
}

/* is_base64 - that begins with two bytes at least: what is shorter too much would begin with. */
static bool is_base64(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    return text.n >= 3 && text.n <= 340;
}

static void magic(struct import *im)
{
    const struct sme *s = &im->sme;

    for (size_t i = 0; i < s->pattern_count; i++) {
        const struct sme_pattern *pattern = &s->patterns[i];
        struct buf name = buf_in(im->a);

        for (size_t k = 0; k < pattern->name.n && k < 64; k++) {
            char c = pattern->name.p[k];

            buf_addc(&name, (unsigned char)c > ' ' && c != 0x7f && c != '#' ? c : '_');
        }
        if (!pattern->enabled) {
            import_done(&im->notes, pattern->from, "is not enabled: left out of patterns.signatures");
            continue;
        }
        for (size_t k = 0; k < pattern->body.count; k++) {
            struct str body = pattern->body.items[k];

            while (body.n && body.p[body.n - 1] == '=')
                body.n--;
            if (!is_base64(body)) {
                import_left_out(&im->notes, pattern->from, "\"" STR_FMT "\" is not the begin of a file in base64, of "
                                "two bytes at least", STR_ARG(str_slice(body, 0, 80)));
                continue;
            }
            import_list_add(im, LIST_PATTERNS, pattern->from,
                            arena_printf(im->a, STR_FMT " base64:" STR_FMT, STR_ARG(buf_str(&name)), STR_ARG(body)));
        }
        import_done(&im->notes, pattern->from, "patterns.signatures: %zu beginnings", pattern->body.count);
    }
}

void import_lists(struct import *im)
{
    if (im->db_dir.n) {
        bad_names(im);
        recipients(im);
        hidden(im);
    }
    magic(im);
}
