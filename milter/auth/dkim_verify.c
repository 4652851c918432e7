/* dkim_verify.c - one message's signatures: asked for early, judged when all is there. */
#include "../base/clock.h"
#include "../mail/domain.h"
#include "dkim_lib.h"

/* A long list of signed fields makes the library go through the header once for each. */
#define COMPARISONS_MOST 2000000

struct checked {
    const struct header *field;
    struct dkim_signature signature;
    struct dns_question *question;
    struct dkim_public key;
    enum auth_result result;
    const char *problem; /* NULL with a result of its own: pass */
    bool decided;        /* without the library */
    bool partly;
};

struct dkim_check {
    struct checked *items;
    size_t count;
    size_t more; /* fields that were not looked at */
};

static void decide(struct checked *c, enum auth_result result, const char *problem)
{
    c->decided = true;
    c->result = result;
    c->problem = problem;
}

struct dkim_check *dkim_ask(struct arena *a, struct dns_budget *budget, const struct headers *headers,
                            long max_signatures)
{
    struct dkim_check *check = arena_zalloc(a, sizeof *check);
    size_t most = max_signatures > 0 ? (size_t)max_signatures : 0, found = header_count(headers, DKIM_FIELD);

    check->items = arena_array(a, found < most ? found : most, sizeof *check->items);
    for (const struct header *h = headers->first; h; h = h->next) {
        struct checked *c;

        if (!str_is_nocase(h->name, DKIM_FIELD))
            continue;
        if (check->count == most) {
            check->more++;
            continue;
        }
        c = &check->items[check->count++];
        c->field = h;
        dkim_signature_parse(a, h->value, &c->signature);
        if (c->signature.problem)
            decide(c, c->signature.result, c->signature.problem);
        else
            c->question = dns_ask(a, budget, c->signature.key_name, DNS_TXT);
    }
    return check;
}

/* choose_record - the one record there is; of several the one that says that it is a key, if it is the only one. */
static const struct dns_record *choose_record(const struct dns_answer *answer)
{
    const struct dns_record *chosen = NULL;

    if (answer->count == 1)
        return &answer->records[0];
    for (size_t i = 0; i < answer->count; i++)
        if (str_starts(answer->records[i].text, STR("v=DKIM1"))) {
            if (chosen)
                return NULL;
            chosen = &answer->records[i];
        }
    return chosen;
}

static void judge_key(struct arena *a, struct checked *c, int64_t deadline)
{
    const struct dns_answer *answer = dns_harvest(c->question, deadline);
    const struct dns_record *record;

    if (answer->status == DNS_FAIL) {
        decide(c, AUTH_TEMPERROR,
               arena_printf(a, "the key cannot be asked for: %s", answer->why).p);
        return;
    }
    if (answer->status != DNS_OK) {
        decide(c, AUTH_PERMERROR, "there is no key");
        return;
    }
    record = choose_record(answer);
    if (!record) {
        decide(c, AUTH_PERMERROR, "there are several key records");
        return;
    }
    dkim_public_parse(a, record->text, c->signature.algorithm, &c->key);
    if (c->key.problem)
        decide(c, c->key.result, c->key.problem);
    else if (c->key.strict &&
             !str_is(dkim_ascii(a, str_slice(c->signature.identity, str_rfind(c->signature.identity, '@') + 1,
                                             c->signature.identity.n)), c->signature.domain))
        decide(c, AUTH_PERMERROR, "the key is not for i= below the domain");
}

/* our_rules - what is not good enough although it verified. */
static void our_rules(struct arena *a, struct checked *c, size_t from_fields, long min_rsa_bits)
{
    const struct dkim_signature *s = &c->signature;

    if (c->result != AUTH_PASS)
        return;
    c->result = AUTH_POLICY;
    if (s->sha1)
        c->problem = "rsa-sha1 proves nothing";
    else if (s->algorithm == DKIM_RSA && (long)c->key.bits < min_rsa_bits)
        c->problem = arena_printf(a, "the key has %u bits only", c->key.bits).p;
    else if (c->partly)
        c->problem = "a part of the body is not signed";
    else if (s->from < from_fields)
        c->problem = "not every From is signed";
    else
        c->result = AUTH_PASS;
}

static size_t relaxed_line(struct str line)
{
    size_t n = 0;

    for (size_t i = 0; i < line.n; i++) {
        bool blank = line.p[i] == ' ' || line.p[i] == '\t';

        n += !blank || i == 0 || (line.p[i - 1] != ' ' && line.p[i - 1] != '\t');
    }
    return n - (line.n && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'));
}

/* is_longer - the canonical body has more bytes than `length` (3.4.3, 3.4.4). The library does not tell: it counts
 * what it hashed. A body with line ends of another kind, which no mail server sends, counts as longer. */
static bool is_longer(struct str body, bool relaxed, size_t length)
{
    size_t n = 0, empty = 0;

    while (body.n && n <= length) {
        size_t end = str_find(body, '\n');
        struct str line = str_slice(body, 0, end);

        if (end < body.n && (end == 0 || line.p[--line.n] != '\r'))
            return true;
        if (memchr(line.p, '\r', line.n))
            return true;
        body = str_slice(body, end + 1, body.n);
        line.n = relaxed ? relaxed_line(line) : line.n;
        empty++;
        if (line.n) {
            n += line.n + 2 * empty;
            empty = 0;
        }
    }
    return (n || relaxed ? n : 2) > length;
}

static void try_rest(struct arena *a, struct dkim_check *check, const struct headers *headers, struct str body)
{
    struct dkim_trial *trials = arena_array(a, check->count, sizeof *trials);
    struct checked **of = arena_array(a, check->count, sizeof *of);
    size_t count = 0;

    for (size_t i = 0; i < check->count; i++) {
        struct checked *c = &check->items[i];

        if (!c->decided && c->signature.names * headers->count > COMPARISONS_MOST)
            decide(c, AUTH_POLICY, "the list of signed fields is too long for so long a header");
        if (c->decided)
            continue;
        of[count] = c;
        trials[count++] = (struct dkim_trial){.field = c->field, .signature = &c->signature, .key = &c->key};
    }
    dkim_lib_try(a, headers, body, trials, count);
    for (size_t i = 0; i < count; i++) {
        of[i]->result = trials[i].result;
        of[i]->problem = trials[i].problem;
        of[i]->partly = of[i]->signature.length >= 0 &&
                        is_longer(body, of[i]->signature.relaxed_body, (size_t)of[i]->signature.length);
    }
}

void dkim_evaluate(struct arena *a, struct dkim_check *check, const struct headers *headers, struct str body,
                   long min_rsa_bits, int64_t deadline, struct auth_results *results)
{
    size_t from_fields = header_count(headers, STR("From"));

    for (size_t i = 0; i < check->count; i++)
        if (!check->items[i].decided)
            judge_key(a, &check->items[i], deadline);
    try_rest(a, check, headers, body);
    results->dkim = arena_array(a, check->count + 1, sizeof *results->dkim);
    results->dkim_count = 0;
    results->dkim_checked = true;
    for (size_t i = 0; i < check->count; i++) {
        struct checked *c = &check->items[i];

        our_rules(a, c, from_fields, min_rsa_bits);
        results->dkim[results->dkim_count++] = (struct dkim_result){
            .result = c->result,
            .domain = c->signature.domain,
            .selector = c->signature.selector,
            .identity = c->signature.identity,
            .algorithm = c->signature.word,
            .b = c->signature.b,
            .problem = str_of(c->problem),
            .partly = c->partly,
            .testing = c->key.testing,
        };
    }
    if (check->more)
        results->dkim[results->dkim_count++] = (struct dkim_result){
            .result = AUTH_POLICY,
            .problem = arena_printf(a, "%zu more signatures are too many", check->more),
        };
}
