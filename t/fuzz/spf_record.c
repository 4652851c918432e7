/* spf_record.c - fuzz target: a record, what it points at, an explanation and a local part, through a whole check.
 *
 * Lines: the local part, then "NAME TEXT": a TXT record of NAME, with the bytes as they are. Every name below x.test
 * has an address, every one below m.test is its own mail host; a check must end, with a result, within its questions.
 */
#include "../../milter/auth/spf.h"
#include "../../milter/auth/spf_macro.h"
#include "../../milter/auth/spf_record.h"
#include "../../milter/base/clock.h"
#include "fuzz.h"

#define QUESTIONS 200
#define RECORDS_MOST 20

static void add_record(struct buf *zone, struct str line)
{
    struct str name;

    if (!str_token(&line, &name) || line.n > 20000)
        return;
    for (size_t i = 0; i < name.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789.-_", name.p[i]) || name.p[i] == '\0')
            return;
    line = str_slice(line, 1, line.n);
    buf_add(zone, name);
    buf_add(zone, STR(" TXT"));
    for (size_t i = 0; i < line.n || i == 0; i++) {
        if (i % 200 == 0)
            buf_add(zone, i ? STR("\" \"") : STR(" \""));
        if (i < line.n)
            buf_addf(zone, "\\%03d", (unsigned char)line.p[i]);
    }
    buf_add(zone, STR("\"\n"));
}

static void check(struct arena *a, struct str local, const char *client, bool named)
{
    struct dns_budget budget = {QUESTIONS};
    struct spf_request request = {
        .helo = STR("h.x.test"),
        .sender = local.n ? arena_printf(a, STR_FMT "@a.test", STR_ARG(local)) : STR(""),
        .receiver = STR("mx.here.test"),
    };
    struct spf_check *c;
    const struct spf_answer *answer;

    must(ip_parse(str_of(client), &request.client));
    c = spf_begin(a, &budget, &request);
    spf_advance(c);
    answer = spf_finish(c, clock_ms() + 1000);
    must(answer->result <= AUTH_PERMERROR && answer->result != AUTH_POLICY);
    must(budget.left > 0);
    must((answer->explanation.n == 0) || answer->result == AUTH_FAIL);
    must((answer->result == AUTH_TEMPERROR || answer->result == AUTH_PERMERROR) == (answer->problem.n > 0) ||
         answer->result == AUTH_NONE);
    for (size_t i = 0; i < answer->explanation.n; i++)
        must(answer->explanation.p[i] >= ' ' && answer->explanation.p[i] <= '~');
    if (!named)
        must(!str_starts(answer->problem, STR("libspf2"))); /* what we give it, it understands */
    touch(answer->mechanism);
    touch(answer->problem);
    touch(answer->domain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str text = {(const char *)data, size}, local = STR(""), line, error = STR("");
    struct buf zone = buf_in(a);
    bool named = size && memmem(data, size, "libspf2", 7); /* a domain may be called that */
    unsigned records = 0;

    clock_script_wall(1767607200000);
    str_split(&text, '\n', &local);
    while (str_split(&text, '\n', &line) && records++ < RECORDS_MOST)
        add_record(&zone, line);
    buf_add(&zone, STR("*.x.test A 192.0.2.9\n*.x.test AAAA 2001:db8::9\n*.m.test MX 10 m.x.test\n"
                       "7.2.0.192.in-addr.arpa PTR p.y.test\np.y.test A 192.0.2.7\n"));
    if (dns_script(STR("zone"), buf_str(&zone), false, &error, a)) {
        check(a, local, "192.0.2.7", named);
        check(a, local, "2001:db8::7", named);
        dns_script_end();
    }
    arena_free(&a);
    clock_script_end();
    return 0;
}
