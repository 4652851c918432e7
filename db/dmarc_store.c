/* dmarc_store.c - rows for the aggregate reports: from the policy's thread into a fixed piece of memory, from there by
 * the writer into the file, where equal ones are counted. */
#include <stdatomic.h>
#include <string.h>

#include "auth/report_rua.h"
#include "base/clock.h"
#include "base/log.h"
#include "dmarc_store.h"
#include "mail/domain.h"

#define NAME_MOST 255      /* of a domain or selector; longer ones do not exist */
#define RUA_TEXT_MOST (RUA_MOST * (64 + 1 + 253 + 1))
#define TEXT_MOST 12288    /* of an item; what the other fields leave is for signatures: a hundred of usual length */
#define QUEUE_MOST 4000    /* items: at most 50 MB */
#define TIDY_ROWS 1000     /* forgotten in one piece */

#define REPORT_FIELDS 12 /* day, domain, org_domain, discovery, p, sp, np, adkim, aspf, testing, fo, rua */
#define RECORD_FIELDS 12 /* source_ip ... signatures: as pack_record() packs and record_sql names them */
#define FIELDS (REPORT_FIELDS + RECORD_FIELDS)

struct item {
    uint16_t at[FIELDS + 1]; /* where each field begins in the text; the last one: where the text ends */
    char text[TEXT_MOST];
};

static _Atomic(struct database *) store;
static atomic_ullong added, unwanted, unusable, shortened;

static const char *const disposition_words[] = {"none", "quarantine", "reject"};

/* ---- from a row to an item ---- */

struct packing {
    struct item *item;
    unsigned next; /* field */
    size_t used;
    bool cut;
};

static size_t room(const struct packing *p)
{
    return sizeof p->item->text - p->used;
}

static void begin(struct packing *p)
{
    p->item->at[p->next] = (uint16_t)p->used;
}

static void end(struct packing *p)
{
    p->next++;
    p->item->at[p->next] = (uint16_t)p->used;
}

static void add_byte(struct packing *p, char c)
{
    if (room(p))
        p->item->text[p->used++] = c;
}

/* add - the bytes that are no control bytes: the file is read by people, on terminals. */
static void add(struct packing *p, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7f)
            add_byte(p, s.p[i]);
}

/* pack - a field; one that is longer than `most` is left out, since a part of a name is another name. */
static void pack(struct packing *p, struct str s, size_t most)
{
    begin(p);
    if (s.n > most || s.n > room(p))
        p->cut = true;
    else
        add(p, s);
    end(p);
}

/* pack_words - a field of free text: its beginning says something too. */
static void pack_words(struct packing *p, struct str s, size_t most)
{
    begin(p);
    if (s.n > most)
        p->cut = true;
    add(p, str_slice(s, 0, most));
    end(p);
}

/* ---- signatures ---- */

/* is_token - whether it can stand between blanks. */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7f)
            return false;
    return s.n > 0 && s.n <= NAME_MOST;
}

/* worth - which signatures a report keeps when it cannot have all: 0 comes first. */
static int worth(const struct dmarc_row *row, const struct dkim_result *r)
{
    if (r->result != AUTH_PASS)
        return 3;
    if (str_is_nocase(r->domain, row->header_from))
        return 0;
    return row->policy.org_domain.n && domain_is_or_below(r->domain, row->policy.org_domain) ? 1 : 2;
}

static struct str signature_word(enum auth_result r)
{
    return str_of(auth_words[r == AUTH_SOFTFAIL ? AUTH_FAIL : r]); /* which is no result of a signature */
}

static bool add_signature(struct packing *p, const struct dkim_result *r)
{
    struct str word = signature_word(r->result);

    if (r->domain.n + r->selector.n + word.n + 3 > room(p))
        return false;
    add(p, r->domain);
    add_byte(p, ' ');
    add(p, r->selector);
    add_byte(p, ' ');
    add(p, word);
    add_byte(p, '\n');
    return true;
}

/* pack_signatures - a report may not tell of one without domain or selector. */
static void pack_signatures(struct packing *p, const struct dmarc_row *row)
{
    size_t told = 0;

    begin(p);
    for (int class = 0; class < 4; class++)
        for (size_t i = 0; i < row->dkim_count; i++) {
            const struct dkim_result *r = &row->dkim[i];

            if (worth(row, r) != class || !is_token(r->domain) || !is_token(r->selector))
                continue;
            if (told == DMARC_SIGNATURES_MOST || !add_signature(p, r)) {
                p->cut = true;
                continue;
            }
            told++;
        }
    end(p);
}

/* ---- the whole row ---- */

/* destinations - those of the rua that can be used, blanks between; empty: none. */
static struct str destinations(struct arena *a, struct str value)
{
    struct buf b = buf_in(a);
    struct rua rua;

    rua_parse(a, value, &rua);
    for (size_t i = 0; i < rua.count; i++)
        buf_addf(&b, "%s" STR_FMT, i ? " " : "", STR_ARG(rua.addresses[i]));
    return buf_str(&b);
}

static struct str spf_word(enum auth_result r)
{
    return str_of(auth_words[r == AUTH_POLICY ? AUTH_NEUTRAL : r]); /* which is no result of SPF */
}

/* override_of - a report knows these words only, and must have one whenever a failure was not treated as published. */
static struct str override_of(const struct dmarc_row *row)
{
    static const char *const words[] = {"local_policy", "mailing_list", "other", "policy_test_mode",
                                        "trusted_forwarder"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (str_is(row->override, str_of(words[i])))
            return row->override;
    return row->override.n ? STR("other") : STR_NONE;
}

static struct str comment_of(const struct dmarc_row *row, struct str override)
{
    if (row->comment.n || str_is(override, row->override))
        return row->comment;
    return row->override;
}

/* base_domain - the organisational domain of the policy domain: itself where that stands above the author's. */
static struct str base_domain(const struct report_policy *p)
{
    return p->org_domain.n && domain_is_or_below(p->domain, p->org_domain) ? p->org_domain : p->domain;
}

static void pack_policy(struct packing *p, struct arena *a, const struct dmarc_row *row, struct str rua)
{
    const struct report_policy *policy = &row->policy;

    pack(p, str_slice(clock_rfc3339(a, row->at * 1000), 0, 10), 10);
    pack(p, str_lower(a, policy->domain), NAME_MOST);
    pack(p, str_lower(a, base_domain(policy)), NAME_MOST);
    pack(p, policy->psl ? STR("psl") : STR("treewalk"), 8);
    pack(p, str_of(disposition_words[policy->p]), 10);
    pack(p, str_of(disposition_words[policy->sp]), 10);
    pack(p, str_of(disposition_words[policy->np]), 10);
    pack(p, policy->adkim_strict ? STR("s") : STR("r"), 1);
    pack(p, policy->aspf_strict ? STR("s") : STR("r"), 1);
    pack(p, policy->testing ? STR("y") : STR("n"), 1);
    pack(p, policy->fo.n ? policy->fo : STR("0"), 32);
    pack(p, rua, RUA_TEXT_MOST);
}

static void pack_record(struct packing *p, struct arena *a, const struct dmarc_row *row)
{
    struct str override = override_of(row);
    bool passed = row->dkim_aligned || row->spf_aligned;

    pack(p, ip_text(a, row->source), 64);
    pack(p, str_lower(a, row->header_from), NAME_MOST);
    pack(p, str_lower(a, row->envelope_from), NAME_MOST);
    pack(p, str_lower(a, row->envelope_to), NAME_MOST);
    pack(p, passed ? STR("pass") : str_of(disposition_words[row->disposition]), 10);
    pack(p, row->dkim_aligned ? STR("pass") : STR("fail"), 4);
    pack(p, row->spf_aligned ? STR("pass") : STR("fail"), 4);
    pack(p, override, 32);
    pack_words(p, comment_of(row, override), 200);
    pack(p, row->spf_domain, NAME_MOST);
    pack(p, row->spf_domain.n ? spf_word(row->spf) : STR_NONE, 10);
    pack_signatures(p, row);
}

/* item_of - false: it is not to be reported. */
static bool item_of(struct arena *a, const struct dmarc_row *row, struct item *item)
{
    struct packing p = {.item = item};
    struct str rua;

    if (!row->source.known || !domain_is_hostname(row->header_from, false)
        || !domain_is_hostname(row->policy.domain, false)) {
        unusable++;
        return false;
    }
    rua = destinations(a, row->policy.rua);
    if (rua.n == 0) {
        unwanted++;
        return false;
    }
    pack_policy(&p, a, row, rua);
    pack_record(&p, a, row);
    if (p.cut)
        shortened++;
    return true;
}

/* ---- writing ---- */

static const char report_sql[] =
    "INSERT INTO report (day, domain, org_domain, discovery, p, sp, np, adkim, aspf, testing, fo, rua)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    " ON CONFLICT (day, domain, discovery, p, sp, np, adkim, aspf, testing, fo) WHERE state = 'collecting'"
    " DO UPDATE SET org_domain = excluded.org_domain, rua = excluded.rua"
    " RETURNING id";

static const char record_sql[] =
    "INSERT INTO record (source_ip, header_from, envelope_from, envelope_to, disposition, dkim, spf, reason, comment,"
    " spf_domain, spf_result, signatures, report, messages)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1)"
    " ON CONFLICT DO UPDATE SET messages = messages + 1";

static sqlite3_stmt *prepared(struct database_writer *w, const char *sql, const struct item *item, unsigned from)
{
    sqlite3_stmt *s = database_writer_statement(w, sql);

    for (unsigned f = from; s && f < from + 12; f++)
        sqlite3_bind_text(s, (int)(f - from) + 1, item->text + item->at[f], item->at[f + 1] - item->at[f],
                          SQLITE_STATIC);
    return s;
}

static int write_item(struct database_writer *w, const void *ptr, void *ctx)
{
    const struct item *item = ptr;
    sqlite3_stmt *s = prepared(w, report_sql, item, 0);
    int64_t report = 0;
    int rc;

    (void)ctx;
    if (!s)
        return sqlite3_extended_errcode(database_writer_db(w));
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        report = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    if (rc != SQLITE_DONE)
        return rc;
    s = prepared(w, record_sql, item, REPORT_FIELDS);
    if (!s)
        return sqlite3_extended_errcode(database_writer_db(w));
    sqlite3_bind_int64(s, 13, report);
    rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static bool tidy(struct database_writer *w, void *ctx)
{
    bool more = false;

    (void)ctx;
    return dmarc_file_tidy(database_writer_db(w), clock_wall_ms() / 1000, TIDY_ROWS, &more) == SQLITE_OK && more;
}

/* ---- the store ---- */

static const struct database_kind kind = {
    .name = "dmarc",
    .schema = &dmarc_schema,
    .item_size = sizeof(struct item),
    .items_most = QUEUE_MOST,
    .write = write_item,
    .tidy = tidy,
};

void dmarc_store_start(struct str directory, int wait_ms)
{
    if (!dmarc_store_running())
        store = database_start(&kind, directory, NULL, wait_ms);
}

void dmarc_store_stop(int wait_ms)
{
    struct database *db = atomic_exchange(&store, NULL);

    if (db)
        database_stop(&db, wait_ms);
}

bool dmarc_store_running(void)
{
    return atomic_load(&store) != NULL;
}

bool dmarc_store_status(struct database_status *status)
{
    struct database *db = store;

    if (db)
        database_status(db, status);
    return db != NULL;
}

bool dmarc_store_flush(int wait_ms)
{
    struct database *db = store;

    return db && database_flush(db, wait_ms);
}

void dmarc_record_add(const struct dmarc_row *row)
{
    struct database *db = store;
    struct arena *a;
    struct item item;

    if (!db)
        return;
    a = arena_new(0);
    if (item_of(a, row, &item) && database_add(db, &item))
        added++;
    arena_free(&a);
}

void dmarc_store_count(struct dmarc_counters *counters)
{
    *counters = (struct dmarc_counters){added, unwanted, unusable, shortened};
}
