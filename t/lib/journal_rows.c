/* journal_rows.c - journal_rows DIRECTORY COUNT HOURS: a journal with so many messages of the last hours, always the same
 * but for the time: every kind of verdict, lists, viruses, scores, and names that no program should print as they are. */
#include <stdlib.h>

#include "../../db/journal.h"
#include "../../milter/base/clock.h"
#include "tap.h"

static uint64_t state = 88172645463325252u;

static unsigned pick(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state % n);
}

static const char *const domains[] = {"example.org", "shop.example", "news.example.net", "b\303\274cher.example",
                                      "<script>alert(1)</script>", "\"onload=\"alert(2)", "a\x1b[31mb.example"};

static struct str address(struct arena *a, const char *user)
{
    unsigned n = pick(20);

    return arena_printf(a, "<%s%u@%s>", user, pick(50), domains[n < 14 ? n % 4 : n % 7]);
}

struct making {
    struct journal_finding f[8];
    size_t n;
};

static struct journal_finding *find(struct making *k, const char *policy, const char *stage, const char *result,
                                    const char *judged)
{
    struct journal_finding *f = &k->f[k->n++];

    *f = (struct journal_finding){.policy = str_of(policy), .stage = str_of(stage), .result = str_of(result),
                                  .judged = str_of(judged), .rcpt = -1, .micros = pick(5000)};
    return f;
}

static void with_fact(struct arena *a, struct journal_finding *f, const char *name, struct str value)
{
    struct journal_fact *fact = arena_alloc(a, sizeof *fact);

    *fact = (struct journal_fact){str_of(name), value};
    f->facts = fact;
    f->fact_count = 1;
}

static void refuse(struct journal_message *m, const char *verdict, const char *by, const char *stage, const char *reply)
{
    m->verdict = str_of(verdict);
    m->by = str_of(by);
    m->stage = str_of(stage);
    m->reply = str_of(reply);
}

static void judge(struct arena *a, struct journal_message *m, struct making *k)
{
    unsigned kind = pick(100);

    if (kind < 12) {
        m->message = kind < 8;
        with_fact(a, find(k, "dnsbl", "connect", "bad", "later"), "list",
                  kind < 6 ? STR("zen.spamhaus.org=127.0.0.4") : STR("b.barracudacentral.org=127.0.0.2"));
        refuse(m, "reject", "dnsbl", m->message ? "mail" : "connect", "550 5.7.1 listed");
        m->karma = -2;
    } else if (kind < 16) {
        find(k, "helo", "helo", "bad", "now");
        refuse(m, "reject", "helo", "helo", "550 5.7.1 HELO");
        m->karma = -1;
    } else if (kind < 20) {
        find(k, "spf", "mail", "unsure", "now");
        refuse(m, "tempfail", "spf", "mail", "451 4.7.24 later");
    } else if (kind < 21) {
        with_fact(a, find(k, "virus", "message", "bad", "now"), "virus", kind & 1 ? STR("Eicar-Test") : STR("<b>Bad</b>"));
        refuse(m, "reject", "virus", "message", "554 5.7.1 Virus found");
    } else if (kind < 30) {
        with_fact(a, find(k, "spamassassin", "message", "bad", "now"), "spam.score",
                  arena_printf(a, "%u.%u/5.0", 5 + pick(20), pick(10)));
        refuse(m, "reject", "spamassassin", "message", "552 5.7.1 spam");
    } else if (kind < 40) {
        with_fact(a, find(k, "fcrdns", "connect", "bad", "never"), "iprev", STR("fail"));
    } else {
        with_fact(a, find(k, "spf", "mail", "good", "none"), "spf.result", STR("pass"));
        with_fact(a, find(k, "spamassassin", "message", "nothing", "none"), "spam.score",
                  arena_printf(a, "%d.%u/5.0", (int)pick(6) - 2, pick(10)));
        m->karma = 1;
    }
}

static void add(struct arena *a, int64_t at, unsigned i)
{
    struct making k = {.n = 0};
    struct journal_rcpt rcpt = {.address = address(a, "user")};
    struct journal_message m = {
        .message = true, .at_ms = at, .host = STR("mail.here.test"), .ref = arena_printf(a, "R%010u1", i),
        .queue_id = arena_printf(a, "Q%u", i), .message_id = arena_printf(a, "%u@a.test", i), .profile = STR("smtp"),
        .client = {.b = {[10] = 0xff, 0xff, 192, 0, 2, (uint8_t)pick(40)}, .known = true}, .server_port = 25,
        .helo = STR("mx.a.test"), .tls_version = pick(3) ? STR("TLSv1.3") : STR_NONE, .sender = address(a, "joe"),
        .rcpt = &rcpt, .rcpt_count = 1, .nrcpt = 1, .size = 2000 + pick(50000), .verdict = STR("accept"),
        .stage = STR("message"), .ms = 20 + pick(200) * (pick(10) ? 1 : 12), .ran = STR("connect:dnsbl;mail:spf"),
        .findings = k.f,
    };

    judge(a, &m, &k);
    m.finding_count = k.n;
    if (!m.message)
        m.rcpt_count = m.nrcpt = 0, m.sender = STR_NONE;
    journal_add(&m);
}

int main(int argc, char **argv)
{
    struct journal_settings settings = {.max_size = 10u * 1000 * 1000 * 1000};
    struct arena *a = arena_new(0);
    int64_t now = clock_wall_ms(), at;
    long count, hours;

    if (argc != 4 || !str_to_long(str_of(argv[2]), &count) || !str_to_long(str_of(argv[3]), &hours))
        bail("usage: journal_rows DIRECTORY COUNT HOURS");
    journal_start(str_of(argv[1]), &settings, 20000);
    for (long i = 0; i < count; i++) {
        at = now - hours * 3600000 + hours * 3600000 / count * i;
        add(a, at, (unsigned)i);
        if (i % 2000 == 1999)
            journal_flush(20000);
        arena_reset(a);
    }
    if (!journal_flush(20000))
        bail("the journal cannot be written");
    journal_stop(20000);
    arena_free(&a);
    return 0;
}
