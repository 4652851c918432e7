/* import_accounts.c - who gets mail: users, groups and their members, pseudonyms, and whom unknown recipients' mail is
 * for.
 */
#include <stdlib.h>

#include "import_inside.h"

#define MEMBERS_MOST 1000 /* Postfix makes no more of one recipient: virtual_alias_expansion_limit */
#define HOPS_MOST 50      /* from pseudonym to pseudonym */

static const struct {
    const char *type;
    enum sme_account_kind kind;
    bool receives;
} types[] = {
    {"user", SME_USER, true},       {"group", SME_GROUP, true},     {"pseudonym", SME_PSEUDONYM, true},
    {"ibay", SME_IBAY, true},       {"list", SME_GROUP, true},      {"ezmlm", SME_GROUP, true},
    {"mailman", SME_GROUP, true},   {"system", SME_SYSTEM, false},  {"existing", SME_SYSTEM, false},
    {"url", SME_SYSTEM, false},     {"printer", SME_SYSTEM, false}, {"machine", SME_SYSTEM, false},
    {"netlogon", SME_SYSTEM, false}, {"share", SME_IBAY, true},
};

/* is_local_part - that can stand in a list file, where / begins a regular expression, # a comment and . a domain. */
static bool is_local_part(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';

        if (!alnum && (i == 0 || !memchr("!#$%&'*+-/=?^`{|}~.", c, 19)))
            return false;
    }
    return name.n > 0 && name.n <= 64;
}

static bool is_recipient(struct import *im, struct str name)
{
    size_t at = str_rfind(name, '@');
    struct str domain;

    return is_local_part(str_slice(name, 0, at)) &&
           (at == name.n || import_domain_name(im->a, str_slice(name, at + 1, name.n), &domain));
}

/* forwarding - ForwardAddress stays in the record when its user switches forwarding off; EmailForward alone decides. */
static void forwarding(struct import *im, const struct esmith_record *record, struct sme_account *account)
{
    struct str how = import_prop(record, "EmailForward"), to = import_prop(record, "ForwardAddress");

    account->keeps_copy = str_is(how, STR("both"));
    if (account->keeps_copy || str_is(how, STR("forward"))) {
        account->goes_to = to;
    } else if (how.n && !str_is(how, STR("local")) && !str_is(how, STR("procmail"))) {
        import_left_out(&im->notes, source_of(im->a, &im->accounts, record, "EmailForward", true),
                        "\"" STR_FMT "\" is none of: local forward both procmail; its mail stays here",
                        STR_ARG(import_shown(how)));
    } else if (to.n) {
        import_notice(&im->notes, source_of(im->a, &im->accounts, record, "ForwardAddress", true),
                      "has no effect: EmailForward says that its mail stays here");
    }
}

static void members(struct import *im, const struct esmith_record *record, struct sme_account *account)
{
    struct str rest = str_lower(im->a, import_prop(record, "Members")), name;

    account->members.from = source_of(im->a, &im->accounts, record, "Members", true);
    while (str_split(&rest, ',', &name)) {
        name = str_trim(name);
        if (name.n == 0)
            continue;
        account->members.items = arena_grow(im->a, account->members.items, account->members.count, sizeof name);
        account->members.items[account->members.count++] = name;
    }
}

static void one_account(struct import *im, const struct esmith_record *record)
{
    struct sme_account account = {.name = str_lower(im->a, record->key),
                                  .from = source_of(im->a, &im->accounts, record, NULL, true)};
    struct sme *s = &im->sme;
    size_t type = 0;

    while (type < sizeof types / sizeof *types && !str_is(record->type, str_of(types[type].type)))
        type++;
    if (type == sizeof types / sizeof *types) {
        import_left_out(&im->notes, account.from, "the account is of the unknown type \"" STR_FMT "\" and gets no mail",
                        STR_ARG(import_shown(record->type)));
        return;
    }
    account.kind = types[type].kind;
    account.internal = str_is_nocase(import_prop(record, "Visible"), STR("internal"));
    account.receives = types[type].receives ||
                       (str_is(record->type, STR("system")) &&
                        (account.internal || str_is(account.name, STR("admin")) ||
                         str_is(account.name, STR("root")) || str_is(account.name, STR("shared"))));
    if (account.kind == SME_PSEUDONYM)
        account.goes_to = import_prop(record, "Account");
    else
        forwarding(im, record, &account);
    if (str_is(record->type, STR("group")))
        members(im, record, &account);
    if (account.receives && !is_recipient(im, account.name)) {
        import_left_out(&im->notes, account.from, "the account's name cannot be that of a mailbox");
        return;
    }
    s->accounts = arena_grow(im->a, s->accounts, s->account_count, sizeof *s->accounts);
    s->accounts[s->account_count++] = account;
}

static int compare_accounts(const void *x, const void *y)
{
    const struct sme_account *a = x, *b = y;
    int order = str_compare(a->name, b->name);

    return order ? order : (a->from.at.line > b->from.at.line) - (a->from.at.line < b->from.at.line);
}

static const struct sme_account *find_account(const struct sme *s, struct str name)
{
    size_t low = 0, high = s->account_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(s->accounts[middle].name, name);

        if (order == 0)
            return &s->accounts[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* is_account - whether mail for that name arrives somewhere. */
static bool is_account(const struct sme *s, struct str name)
{
    const struct sme_account *account = find_account(s, name);

    return (account && account->receives) || str_is(name, STR("admin")) || str_is(name, STR("root"));
}

/* everybody - the members of "shared", to which the pseudonym everyone leads: all users. */
static void everybody(struct import *im, struct sme_account *shared)
{
    const struct sme *s = &im->sme;

    shared->members = (struct sme_texts){.from = shared->from};
    for (size_t i = 0; i < s->account_count; i++) {
        if (s->accounts[i].kind != SME_USER || !s->accounts[i].receives)
            continue;
        shared->members.items = arena_grow(im->a, shared->members.items, shared->members.count, sizeof(struct str));
        shared->members.items[shared->members.count++] = s->accounts[i].name;
    }
}

/* expand_groups - only members who are somebody; a group without any gets no mail, and is no recipient. */
static void expand_groups(struct import *im)
{
    struct sme *s = &im->sme;

    for (size_t i = 0; i < s->account_count; i++) {
        struct sme_account *group = &s->accounts[i];
        struct sme_texts *list = &group->members;
        size_t kept = 0;

        if (group->kind == SME_SYSTEM && str_is(group->name, STR("shared")))
            everybody(im, group);
        else if (group->kind != SME_GROUP || list->from.name.n == 0)
            continue; /* a mailing list: its own program knows who reads it */
        for (size_t m = 0; m < list->count; m++) {
            const struct sme_account *member = find_account(s, list->items[m]);

            if (is_account(s, list->items[m]) && !(member && member->kind == SME_GROUP))
                list->items[kept++] = list->items[m];
            else
                import_left_out(&im->notes, list->from, "the member \"" STR_FMT "\" is no user",
                                STR_ARG(import_shown(list->items[m])));
        }
        list->count = kept;
        if (kept > MEMBERS_MOST) {
            import_left_out(&im->notes, list->from, "Postfix does not expand one address to %zu members (at most %d): "
                            STR_FMT " gets no mail", kept, MEMBERS_MOST, STR_ARG(group->name));
            list->count = 0;
        } else if (kept == 0) {
            import_notice(&im->notes, list->from, STR_FMT " has no members: it gets no mail", STR_ARG(group->name));
        }
        group->receives = list->count > 0;
    }
}

/* break_circles - pseudonyms that lead to each other, and to no account. */
static void break_circles(struct import *im)
{
    struct sme *s = &im->sme;

    for (size_t i = 0; i < s->account_count; i++) {
        const struct sme_account *at = &s->accounts[i];
        int hops = 0;

        while (at && at->kind == SME_PSEUDONYM && ++hops < HOPS_MOST)
            at = find_account(s, str_lower(im->a, at->goes_to));
        if (hops < HOPS_MOST)
            continue;
        import_left_out(&im->notes, s->accounts[i].from, "the pseudonym leads to \"" STR_FMT "\" and so in a circle: "
                        "it gets no mail", STR_ARG(import_shown(s->accounts[i].goes_to)));
        s->accounts[i].receives = false;
    }
    for (size_t i = 0; i < s->account_count; i++)
        if (s->accounts[i].kind == SME_PSEUDONYM && !s->accounts[i].receives)
            s->accounts[i].goes_to = STR_NONE;
}

/* catch_all - EmailUnknownUser of nobody: the mail would not come back to its sender, and not arrive either. */
static void catch_all(struct import *im)
{
    const struct sme_text *to = &im->sme.unknown_user;

    if (!im->sme.unknown_user_bounces && str_find(to->value, '@') == to->value.n &&
        !is_account(&im->sme, str_lower(im->a, to->value)))
        import_notice(&im->notes, to->from, "\"" STR_FMT "\" is none of the accounts; see that there is a mailbox of "
                      "this name", STR_ARG(import_shown(to->value)));
}

static void copies(struct import *im)
{
    for (int port = 0; port < SME_PORTS; port++) {
        const struct sme_filter *f = &im->sme.filter[port];
        struct str to = f->bcc_user.value;

        if (!f->bcc.value || to.n == 0 || str_find(to, '@') < to.n || is_account(&im->sme, str_lower(im->a, to)) ||
            (port && str_is(to, im->sme.filter[SME_SMTP].bcc_user.value)))
            continue;
        import_notice(&im->notes, f->bcc_user.from, "\"" STR_FMT "\" is none of the accounts; see that there is a "
                      "mailbox of this name", STR_ARG(import_shown(to)));
    }
}

/* unknown_user - what can be no recipient catches nothing; then strangers' guesses are refused as by default. */
static void unknown_user(struct import *im)
{
    struct sme_text *to = &im->sme.unknown_user;
    bool plain = true;

    if (im->sme.unknown_user_bounces)
        return;
    for (size_t i = 0; i < to->value.n; i++)
        plain = plain && !strchr("!#$%&'*/=?^`{|}~", to->value.p[i]); /* what luser_relay would take for more */
    if (plain && is_recipient(im, str_lower(im->a, to->value)))
        return;
    import_left_out(&im->notes, to->from, "\"" STR_FMT "\" is neither an account nor an address: mail for unknown "
                    "recipients is refused", STR_ARG(import_shown(to->value)));
    im->sme.unknown_user_bounces = true;
}

void import_accounts(struct import *im)
{
    struct sme *s = &im->sme;
    size_t kept = 0;

    unknown_user(im);
    for (size_t i = 0; i < im->accounts.count; i++)
        one_account(im, &im->accounts.records[i]);
    if (s->account_count == 0)
        return;
    qsort(s->accounts, s->account_count, sizeof *s->accounts, compare_accounts);
    for (size_t i = 0; i < s->account_count; i++) {
        if (kept && str_is(s->accounts[kept - 1].name, s->accounts[i].name)) {
            import_notice(&im->notes, s->accounts[i].from, "is the account of line %u in other letters",
                          s->accounts[kept - 1].from.at.line);
            s->accounts[kept - 1].internal |= s->accounts[i].internal;
        } else {
            s->accounts[kept++] = s->accounts[i];
        }
    }
    s->account_count = kept;
    expand_groups(im);
    break_circles(im);
    catch_all(im);
    copies(im);
    for (size_t i = 0; i < kept; i++) {
        const struct sme_account *account = &s->accounts[i];
        struct str to = str_lower(im->a, account->goes_to);

        if (account->kind == SME_PSEUDONYM && account->receives && str_find(to, '@') == to.n && !find_account(s, to) &&
            !str_is(to, STR("admin")) && !str_is(to, STR("shared")))
            import_left_out(&im->notes, account->from, "the pseudonym leads to \"" STR_FMT "\", which is no account; "
                            "it stays among the recipients", STR_ARG(import_shown(account->goes_to)));
    }
}
