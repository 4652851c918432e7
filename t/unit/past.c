/* past.c (test) - messages of the journal judged again: rows made by hand, and rows of junk. What the policies
 * themselves say again is proved by the scenarios: t/lib/scenario --again. */
#include <stdlib.h>

#include "milter/past.h"
#include "t/lib/tap.h"

static const char text[] =
    "hostname = \"mx.here.test\"\n"
    "profile \"all\" {\n"
    "    policies = {\"loadcheck\", \"whitelist\", \"relay\", \"karma\", \"dnsbl\", \"helo\", \"badmailfrom\", \"spf\",\n"
    "                \"badrcptto\", \"smtp_forward\", \"headers\", \"dkim\", \"dmarc\", \"virus\", \"spamassassin\"}\n"
    "    spamassassin { enabled = yes  reject_at = 10 }\n"
    "    smtp_forward { routes = {\"inner.test 127.0.0.1:25\"} }\n"
    "    dnsbl { enabled = yes  zones = {\"bl.test\", \"other.test\"}  reject = now }\n"
    "    badmailfrom { senders = {\"bad@a.test\", \"worse@a.test\"} }\n"
    "}\n";

static struct arena *a;

static struct config *load(void *ctx, struct conf_entry *changes, struct problems *problems)
{
    (void)ctx;
    return config_from_text_changed(STR("test"), str_of(text), changes, problems);
}

static struct config *with(const char *change)
{
    struct problems problems = {.arena = a};
    struct conf_entry *changes = NULL;
    struct config_change made;

    if (change && !config_change_add(a, &changes, str_of(change), &made, &problems))
        return NULL;
    return load(NULL, changes, &problems);
}

/* judge - the row with one change of the configuration. */
static struct past_answer judge(const struct journal_message *m, const char *change)
{
    struct config *config = with(change);
    struct past_answer answer = {.known = false, .unknown = STR("the configuration is refused")};

    if (config)
        past_judge(a, config, past_read(a, m), NULL, &answer);
    config_unref(&config);
    return answer;
}

static struct journal_finding finding(const char *policy, const char *stage, const char *result, const char *judged,
                                      const struct journal_fact *facts, size_t count)
{
    return (struct journal_finding){
        .policy = str_of(policy), .stage = str_of(stage), .result = str_of(result), .judged = str_of(judged),
        .status = str_is(str_of(result), STR("nothing")) ? STR_NONE : STR("5.7.1"), .rcpt = -1,
        .facts = facts, .fact_count = count};
}

/* accepted - a message that went all the way, with a score of 7.3. */
static struct journal_message accepted(void)
{
    static struct journal_rcpt rcpt[] = {{.address = {"<me@here.test>", 14}}, {.address = {"<you@here.test>", 15}}};
    static const struct journal_fact load_fact[] = {{{"load", 4}, {"0.50", 4}}};
    static const struct journal_fact said[] = {{{"list.said", 9}, {"bl.test=clean,other.test=clean", 30}}};
    static const struct journal_fact spf[] = {{{"spf.result", 10}, {"none", 4}}, {{"spf.domain", 10}, {"a.test", 6}}};
    static const struct journal_fact fields[] = {{{"fields", 6}, {"Date From To", 12}}, {{"count", 5}, {"3", 1}}};
    static const struct journal_fact dmarc[] = {{{"dmarc.record", 12}, {"none", 4}}};
    static const struct journal_fact result[] = {{{"dmarc.result", 12}, {"none", 4}}};
    static const struct journal_fact score[] = {{{"spam.score", 10}, {"7.3/5.0", 7}}};
    static struct journal_finding findings[8];
    struct journal_message m = {
        .message = true, .at_ms = 1767607200000, .host = STR("mx.here.test"), .ref = STR("1MNQ2X0T1FW1"),
        .queue_id = STR("4ZQueueId0"), .profile = STR("all"), .server_port = 25, .helo = STR("mx.a.test"),
        .sender = STR("<x@a.test>"), .rcpt = rcpt, .rcpt_count = 2, .nrcpt = 2, .size = 1000, .body_bytes = 500,
        .verdict = STR("accept"), .stage = STR("message"), .karma = -1, .findings = findings, .finding_count = 8,
        .ran = STR("connect:loadcheck,whitelist,relay,karma;helo:helo;mail:whitelist,relay,karma,dnsbl,helo,badmailfrom;"
                   "rcpt:relay,karma,badrcptto;headers:spf,headers,dmarc;"
                   "message:whitelist,helo,spf,dkim,dmarc,spamassassin"),
    };

    ip_parse(STR("192.0.2.7"), &m.client);
    findings[0] = finding("loadcheck", "connect", "nothing", "none", load_fact, 1);
    findings[1] = finding("dnsbl", "mail", "nothing", "none", said, 1);
    findings[2] = finding("spf", "headers", "nothing", "none", spf, 2);
    findings[3] = finding("headers", "headers", "nothing", "none", fields, 2);
    findings[4] = finding("dmarc", "headers", "nothing", "none", dmarc, 1);
    findings[5] = finding("spf", "message", "nothing", "none", spf, 2);
    findings[6] = finding("dmarc", "message", "nothing", "none", result, 1);
    findings[7] = finding("spamassassin", "message", "nothing", "none", score, 1);
    findings[7].karma = -1;
    return m;
}

static void whole_way(void)
{
    struct journal_message m = accepted();
    const struct {
        const char *change;
        bool known;
        enum verdict_kind kind;
        const char *by, *at;
        const char *why; /* part of what is said when it is not known */
    } cases[] = {
        {NULL, true, VERDICT_ACCEPT, "", "message", ""},
        {"spamassassin.reject_at=7", true, VERDICT_REJECT, "spamassassin", "message", ""},
        {"spamassassin.reject_at=7.3", true, VERDICT_REJECT, "spamassassin", "message", ""},
        {"spamassassin.reject_at=7.4", true, VERDICT_ACCEPT, "", "message", ""},
        {"loadcheck.max_load=0.49", true, VERDICT_TEMPFAIL, "loadcheck", "connect", ""},
        {"badmailfrom.senders+={\"@a.test\"}", true, VERDICT_REJECT, "badmailfrom", "mail", ""},
        {"headers.require=From,Subject", true, VERDICT_REJECT, "headers", "message", ""},
        {"headers.require=X-Other", false, VERDICT_ACCEPT, "", "", "headers at headers: "},
        {"spf.reject_policy=4", true, VERDICT_REJECT, "spf", "message", ""},
        {"dnsbl.zones={\"bl.test\"}", true, VERDICT_ACCEPT, "", "message", ""},
        {"dnsbl.zones={\"third.test\"}", false, VERDICT_ACCEPT, "", "", "third.test"},
        {"virus.enabled=yes", false, VERDICT_ACCEPT, "", "", "virus at message: it was not run then"},
        {"profile:all.policies=relay", true, VERDICT_ACCEPT, "", "message", ""},
        {"profile:all.badmailfrom.senders=x@a.test", true, VERDICT_REJECT, "badmailfrom", "mail", ""},
        {"nonsense.option=1", false, VERDICT_ACCEPT, "", "", "refused"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct past_answer x = judge(&m, cases[i].change);
        bool fine = x.known == cases[i].known;

        if (cases[i].known)
            fine = fine && x.kind == cases[i].kind && str_is(x.by, str_of(cases[i].by)) &&
                   str_is(x.at, str_of(cases[i].at));
        else
            fine = fine && memmem(x.unknown.p, x.unknown.n, cases[i].why, strlen(cases[i].why));
        ok(fine, "with %s: " STR_FMT " at " STR_FMT ", " STR_FMT, cases[i].change ? cases[i].change : "nothing changed",
               STR_ARG(x.by), STR_ARG(x.at), STR_ARG(x.unknown));
    }
}

/* cut_short - where the client was stopped then, nobody knows how it would have gone on. */
static void cut_short(void)
{
    struct journal_message m = accepted();
    struct journal_finding bad = finding("badmailfrom", "mail", "bad", "now", NULL, 0);
    struct past_answer x;

    m.sender = STR("<bad@a.test>");
    m.rcpt_count = m.nrcpt = 0;
    m.verdict = STR("reject");
    m.by = STR("badmailfrom");
    m.stage = STR("mail");
    m.reply = STR("550 5.7.1 sender address not accepted here (ref 1MNQ2X0T1FW1)");
    m.findings[2] = bad;
    m.finding_count = 3;
    m.ran = STR("connect:loadcheck,whitelist,relay,karma;helo:helo;mail:whitelist,relay,karma,dnsbl,helo,badmailfrom");
    x = judge(&m, NULL);
    ok(x.known && x.kind == VERDICT_REJECT && x.code == 550 && str_is(x.text, str_slice(m.reply, 10, m.reply.n)),
           "refused at mail: the same reply, reference and all: " STR_FMT, STR_ARG(x.text));
    x = judge(&m, "badmailfrom.reject=never");
    ok(!x.known && str_starts(x.unknown, STR("rcpt: ")), "had it not been: " STR_FMT, STR_ARG(x.unknown));
    m.message = false;
    m.helo = STR("localhost");
    m.by = STR("helo");
    m.stage = STR("helo");
    x = judge(&m, "helo.reject=now");
    ok(x.known && x.kind == VERDICT_REJECT && str_is(x.by, STR("helo")), "a connection refused at HELO");
    x = judge(&m, "helo.reject=later");
    ok(!x.known, "had it not been: " STR_FMT, STR_ARG(x.unknown));
}

/* recipients - who was refused before a policy's turn came was not seen by it. */
static void recipients(void)
{
    struct journal_message m = accepted();
    struct journal_fact matched = {STR("matched"), STR("me@here.test")};
    struct past_answer x;

    m.rcpt[0].refused_by = STR("badrcptto");
    m.rcpt[0].reply = STR("550 5.1.1 no such recipient here (ref 1MNQ2X0T1FW1)");
    m.findings[2] = finding("badrcptto", "rcpt", "bad", "now", &matched, 1);
    m.findings[2].rcpt = 0;
    m.ran = STR("connect:loadcheck,whitelist,relay,karma;helo:helo;mail:whitelist,relay,karma,dnsbl,helo,badmailfrom;"
                "rcpt:relay,karma,badrcptto,smtp_forward;headers:spf,headers,dmarc;"
                "message:whitelist,helo,spf,dkim,dmarc,spamassassin");
    x = judge(&m, "profile:all.policies=loadcheck,badrcptto,smtp_forward");
    ok(x.known && x.kind == VERDICT_ACCEPT && x.rcpt_refused == 0, "no policy refuses the recipient: both are accepted");
    x = judge(&m, "badrcptto.recipients=me@here.test");
    ok(x.known && x.kind == VERDICT_ACCEPT && x.rcpt_refused == 1, "one of two recipients is refused");
    m.rcpt[0].address = STR("<me@inner.test>");
    x = judge(&m, "badrcptto.recipients=me@inner.test");
    ok(x.known && x.rcpt_refused == 1, "as it was");
    x = judge(&m, "badrcptto.enabled=no");
    ok(!x.known && str_is(x.unknown, STR("smtp_forward at rcpt: it was not run then")),
       "what the inner server would have said of it: " STR_FMT, STR_ARG(x.unknown));
    m.rcpt[0] = (struct journal_rcpt){.address = STR("<me@here.test>")};
}

static void counters(void)
{
    struct journal_message m = accepted();
    struct past_loader loader = {load, NULL};
    struct journal_fact matched = {STR("spam.score"), STR("12.0/5.0")};
    struct past_counter *list = NULL;
    struct config *config = with(NULL);
    bool never = false, above = false, whitelist = false, all_other = true;
    size_t count;

    m.findings[7] = finding("spamassassin", "message", "bad", "now", &matched, 1);
    m.verdict = STR("reject");
    m.by = STR("spamassassin");
    m.reply = STR("550 5.7.1 this looks like spam (score 12.0) (ref 1MNQ2X0T1FW1)");
    count = past_counters(a, config, past_read(a, &m), &loader, &list);
    for (size_t i = 0; i < count; i++) {
        never |= str_is(list[i].change, STR("spamassassin.reject=never")) && list[i].answer.kind == VERDICT_ACCEPT;
        above |= str_is(list[i].change, STR("spamassassin.reject_at=12.1")) && list[i].answer.kind == VERDICT_ACCEPT;
        whitelist |= str_is(list[i].line, STR("whitelist { clients += {\"192.0.2.7\"} }"));
        all_other = all_other && (!list[i].answer.known || list[i].answer.kind != VERDICT_REJECT);
        diag(STR_FMT, STR_ARG(list[i].line));
    }
    ok(never && above && whitelist, "what would have changed it: shadow, a threshold above the score, the whitelist");
    ok(all_other, "and nothing that would not");
    config_unref(&config);
}

static struct config *whole(struct str config)
{
    struct problems problems = {.arena = a};

    return config_from_text(STR("other"), config, &problems);
}

/* another - a whole other configuration: what cannot be told of it is named, and is not guessed. */
static void another(void)
{
    struct journal_message m = accepted();
    struct buf long_list = buf_in(a);
    struct config *now = whole(str_of(text)), *same = whole(str_of(text)), *other, *longer;
    bool changed[64] = {false};
    struct str *lines = NULL, why;
    struct past_answer x;

    ok(past_differ(a, now, same, changed, &lines) == 0 && !past_over_limits(past_read(a, &m), now, same, &why),
       "the same configuration again: nothing cannot be told");
    other = whole(arena_printf(a, "limits { message_size = 1024 }\nspamassassin { timeout = 7s }\n"
                                  "log { level = debug }\ndns { servers = {\"127.0.0.9\"} }\n%s", text));
    ok(past_differ(a, now, other, changed, &lines) == 2 &&
           str_starts(lines[0], STR("spamassassin.timeout: not recorded")) && str_starts(lines[1], STR("dns: ")), "a scanner's timeout and the DNS servers are named");
    m.body_bytes = 1025;
    m.size = 1500;
    past_judge(a, other, past_read(a, &m), changed, &x);
    ok(!x.known && str_starts(x.unknown, STR("spamassassin at message: ")), "and the scan is not known: " STR_FMT,
       STR_ARG(x.unknown));
    ok(past_over_limits(past_read(a, &m), now, other, &why), "nor is what a smaller limit would have cut");
    m.body_bytes = 1024;
    ok(!past_over_limits(past_read(a, &m), now, other, &why), "but what is smaller is");
    for (unsigned i = 0; i < 30; i++)
        buf_addf(&long_list, "%s\"%u*.exe\"", i ? ", " : "", i);
    config_unref(&same);
    same = whole(arena_printf(a, "profile \"all\" { auth = yes  policies = {\"patterns\"}\n"
                                 "patterns { enabled = yes  names = {" STR_FMT "} } }", STR_ARG(buf_str(&long_list))));
    longer = whole(arena_printf(a, "profile \"other\" { auth = yes  policies = {\"patterns\"}\n"
                                   "patterns { enabled = yes  names = {\"x.exe\"" STR_FMT "} } }",
                                STR_ARG(str_slice(buf_str(&long_list), str_find(buf_str(&long_list), ','),
                                                  long_list.len))));
    ok(past_differ(a, same, longer, changed, &lines) == 1 && str_starts(lines[0], STR("patterns.names: ")),
       "one entry of thirty is another, in a profile of another name");
    config_unref(&now);
    config_unref(&same);
    config_unref(&other);
    config_unref(&longer);
}

/* decided - for every option of every policy it is said whether it can be told; a new one needs a decision. */
static void decided(void)
{
    for (size_t i = 0; i < policy_table_count; i++) {
        const struct policy *p = policy_table[i];
        struct buf b = buf_in(a);
        unsigned used = 0;

        buf_add(&b, STR_NONE);
        for (unsigned stage = 0; stage < STAGES; stage++)
            used |= p->at[stage] ? 1u << stage : 0;
        for (const struct option *o = p->options; o && o->name && (used & ~p->replays) && !p->silent; o++) {
            const struct told_again *t = p->told_again;

            while (t && t->option && !str_is(str_of(t->option), str_of(o->name)))
                t++;
            if (!t || !t->option)
                buf_addf(&b, " %s", o->name);
        }
        for (const struct told_again *t = p->told_again; t && t->option; t++) {
            bool is_file;

            if (!option_find(p->options, str_of(t->option), &is_file))
                buf_addf(&b, " no:%s", t->option);
        }
        ok(b.len == 0, "%s: told for every option" STR_FMT, p->name, STR_ARG(buf_str(&b)));
    }
}

/* junk - whatever stands in the file, it is judged without harm. */
static void junk(void)
{
    static const char *const words[] = {"",
                                        "spf",
                                        "connect",
                                        "message",
                                        "bad",
                                        "now",
                                        "mail",
                                        "limits",
                                        "5.7.1",
                                        "\x1b[2J",
                                        "abort",
                                        "connect:relay;:;;mail",
                                        "<>",
                                        "<a@b>",
                                        "reject",
                                        "spam.score",
                                        "/",
                                        "1e999/nan",
                                        "conduct=99999999999 author=",
                                        "a=b=c,,=",
                                        "Date+* From",
                                        "helo.before",
                                        "dmarc"};
    size_t n = sizeof words / sizeof words[0], judged = 0;
    struct config *config = with(NULL);

    srandom(1);
    for (unsigned round = 0; round < 3000; round++) {
        struct journal_message m = accepted();
        struct arena *own = arena_new(0);
        struct past_answer answer;
        struct str *const texts[] = {&m.ref, &m.helo, &m.sender, &m.verdict, &m.by, &m.stage, &m.reply, &m.ran};

        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            if (random() % 4 == 0)
                *texts[i] = str_of(words[(size_t)random() % n]);
        for (size_t i = 0; i < m.finding_count; i++) {
            struct journal_fact *facts = arena_array(own, 2, sizeof *facts);
            struct journal_finding *f = &m.findings[i];
            struct str *const of[] = {&f->policy, &f->stage, &f->result, &f->judged, &f->status, &facts[0].name,
                                      &facts[0].value};

            facts[1] = f->fact_count ? f->facts[0] : (struct journal_fact){STR("load"), STR("x")};
            facts[0] = facts[1];
            for (size_t k = 0; k < sizeof of / sizeof of[0]; k++)
                if (random() % 4 == 0)
                    *of[k] = str_of(words[(size_t)random() % n]);
            f->facts = facts;
            f->fact_count = 2;
            f->rcpt = (int)(random() % 5) - 1;
        }
        m.message = random() % 5 != 0;
        m.unknown_commands = (unsigned)random() % 7;
        m.nrcpt = (unsigned)random() % 5;
        past_judge(own, config, past_read(own, &m), NULL, &answer);
        judged += answer.known || answer.unknown.n > 0;
        arena_free(&own);
    }
    ok(judged == 3000, "3000 rows of junk: each is known, or it is said why not");
    config_unref(&config);
}

int main(void)
{
    a = arena_new(0);
    whole_way();
    cut_short();
    recipients();
    counters();
    another();
    decided();
    junk();
    arena_free(&a);
    return tap_end();
}
