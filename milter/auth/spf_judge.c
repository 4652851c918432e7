/* spf_judge.c - the evaluation, by libspf2, of programs made of our own words.
 *
 * libspf2 has met strangers' records badly: texts of a certain length overflow its stack, includes have no limit in
 * all, long records are refused, "/0" and NUL bytes are misread. So it never sees one. For each record that was read
 * and found valid it gets a program: the terms that can decide for this client, each with a name of ours,
 *
 *     v=spf1 a:q.3.0/24 include:q.3.1 exists:p.3.4 -all        (term 0 and 1 of record 3; a mark before term 4)
 *
 * and asks us what is behind these names. Terms that cannot match this client (other networks) are left out, what
 * follows a term that surely matches too, so a program has a dozen short terms at most. What it asks for we count:
 * these are the limits of section 4.6.4. A mark matches nothing; it tells how far the evaluation came.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <spf2/spf.h>

#include "spf_check.h"

#include "../base/log.h"

#define NO_TTL 0

/* What stands behind a name of ours. */
struct asked {
    char what; /* q: the term's own question; h: a host of an mx; p: a mark */
    unsigned host;
    struct spf_node *node;
    size_t term;
};

static void __attribute__((noreturn)) library_gave_up(const char *file, int line, const char *message)
{
    log_panic("libspf2: %s:%d: %s", file, line, message);
}

/* library_start - the library's handlers print by default; it has them once for the whole process. */
static void library_start(void)
{
    SPF_error_handler = library_gave_up;
    SPF_warning_handler = NULL;
    SPF_info_handler = NULL;
    SPF_debug_handler = NULL;
}

void check_force(struct spf_check *check, enum auth_result result, const char *format, ...)
{
    struct buf b = buf_in(check->arena);
    va_list ap;

    if (check->forced)
        return;
    check->forced = true;
    check->answer.result = result;
    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    check->answer.problem = buf_str(&b);
}

/* ---- programs ---- */

/* write_term - with the prefix for the client's family. "/0" is not written: see answer_addresses. */
static void write_term(struct buf *b, const struct spf_check *check, const struct spf_node *node, size_t i)
{
    static const char *const words[] = {
        [SPF_INCLUDE] = "include:", [SPF_A] = "a:",           [SPF_MX] = "mx:",
        [SPF_PTR] = "a:",           [SPF_EXISTS] = "exists:", [SPF_REDIRECT] = "redirect=",
    };
    const struct spf_term *term = &node->record.terms[i];
    bool v4 = ip_is_v4(check->request.client);
    unsigned bits = v4 ? term->bits4 : term->bits6;

    buf_addc(b, ' ');
    if (term->kind != SPF_REDIRECT)
        buf_addc(b, term->qualifier);
    buf_addf(b, "%sq.%zu.%zu", words[term->kind], node->id, i);
    if ((term->kind == SPF_A || term->kind == SPF_MX) && bits > 0 && bits < (v4 ? 32 : 128))
        buf_addf(b, v4 ? "/%u" : "//%u", bits);
}

/* program_of - of a record. The eleventh lookup is written, so that the evaluation finds it one too many. */
static const char *program_of(struct spf_check *check, const struct spf_node *node)
{
    struct buf b = buf_in(check->arena);
    unsigned lookups = 0;
    size_t i;

    buf_add(&b, STR("v=spf1"));
    for (i = 0; i < node->record.count && lookups <= SPF_LOOKUPS_MOST; i++) {
        const struct spf_term *term = &node->record.terms[i];

        if (node_ends_at(check, term)) {
            struct str client = ip_text(check->arena, check->request.client);

            buf_addf(&b, " exists:p.%zu.%zu %c", node->id, i, term->qualifier);
            if (term->kind == SPF_ALL)
                buf_add(&b, STR("all"));
            else
                buf_addf(&b, "%s:" STR_FMT, term->kind == SPF_IP4 ? "ip4" : "ip6", STR_ARG(client));
            break;
        }
        if (term->kind == SPF_IP4 || term->kind == SPF_IP6)
            continue;
        write_term(&b, check, node, i);
        lookups++;
    }
    if (i == node->record.count)
        buf_addf(&b, " exists:p.%zu.%zu", node->id, i);
    return buf_str(&b).p;
}

/* name_read - back from a name of ours to what it stands for. */
static bool name_read(const struct spf_check *check, const char *name, struct asked *asked)
{
    struct str rest = str_of(name), part;
    long id, term, host;

    *asked = (struct asked){.what = rest.n ? rest.p[0] : '\0'};
    if (!str_split(&rest, '.', &part) || !str_to_long(str_slice(part, 1, part.n), &host))
        host = 0;
    if (!str_split(&rest, '.', &part) || !str_to_long(part, &id) || !str_to_long(rest, &term))
        return false;
    if (id < 0 || (size_t)id >= check->node_count)
        return false;
    asked->node = check->nodes[id];
    if (term < 0 || (size_t)term > asked->node->record.count)
        return false;
    asked->term = (size_t)term;
    asked->host = (unsigned)host;
    return asked->what == 'p' || asked->term < asked->node->record.count;
}

/* count_lookup - each term once; false: that was one too many. */
static bool count_lookup(struct spf_check *check, struct spf_node *node, struct spf_lookup *l)
{
    node->reached = (size_t)(l - node->lookups);
    if (!l->counted && ++check->lookups > SPF_LOOKUPS_MOST)
        check_force(check, AUTH_PERMERROR, "more than %d lookups", SPF_LOOKUPS_MOST);
    l->counted = true;
    return !check->forced;
}

/* ---- answers ---- */

static SPF_dns_rr_t *answer_new(SPF_dns_server_t *server, const char *name, ns_type type, int status)
{
    SPF_dns_rr_t *rr = SPF_dns_rr_new_init(server, name, type, NO_TTL, status);

    if (!rr)
        log_panic("out of memory");
    return rr;
}

static SPF_dns_rr_data_t *answer_room(SPF_dns_rr_t *rr, size_t size)
{
    if (SPF_dns_rr_buf_realloc(rr, rr->num_rr, size) != SPF_E_SUCCESS)
        log_panic("out of memory");
    rr->herrno = NETDB_SUCCESS;
    return rr->rr[rr->num_rr++];
}

static void answer_address(SPF_dns_rr_t *rr, struct ip ip)
{
    SPF_dns_rr_data_t *data = answer_room(rr, sizeof *data);

    if (rr->rr_type == ns_t_aaaa)
        memcpy(&data->aaaa, ip.b, 16);
    else
        memcpy(&data->a, ip.b + 12, 4);
}

/* answer_addresses - those of the client's family; under "/0" any one of them is as good as the client's. */
static void answer_addresses(SPF_dns_rr_t *rr, const struct spf_check *check, const struct spf_term *term,
                             const struct dns_answer *answer)
{
    bool v4 = ip_is_v4(check->request.client);
    bool any = (v4 ? term->bits4 : term->bits6) == 0;

    for (size_t i = 0; i < answer->count; i++)
        answer_address(rr, any ? check->request.client : answer->records[i].ip);
}

static bool is_fail(struct spf_check *check, struct dns_question *q, const struct dns_answer *answer)
{
    static const char *const types[] = {[DNS_A] = "A", [DNS_MX] = "MX", [DNS_AAAA] = "AAAA"};

    if (answer->status != DNS_FAIL)
        return false;
    check_force(check, AUTH_TEMPERROR, STR_FMT " %s: %s", STR_ARG(dns_name(q)), types[dns_type_of(q)], answer->why);
    return true;
}

static void answer_mx(SPF_dns_rr_t *rr, struct spf_check *check, const struct asked *asked,
                      const struct dns_answer *answer)
{
    const struct spf_lookup *l = &asked->node->lookups[asked->term];

    if (answer->count > SPF_HOSTS_MOST)
        check_force(check, AUTH_PERMERROR, STR_FMT ": more than %d MX names", STR_ARG(l->name), SPF_HOSTS_MOST);
    for (size_t i = 0; i < l->host_count; i++) {
        char name[64];
        int n = snprintf(name, sizeof name, "h%zu.%zu.%zu", i, asked->node->id, asked->term);

        memcpy(answer_room(rr, (size_t)n + 1)->mx, name, (size_t)n + 1);
    }
}

/* answer_term - the term's own question. */
static void answer_term(SPF_dns_rr_t *rr, struct spf_check *check, const struct asked *asked)
{
    struct spf_lookup *l = &asked->node->lookups[asked->term];
    const struct dns_answer *answer;

    if (!count_lookup(check, asked->node, l))
        return;
    answer = lookup_wait(check, asked->node, l);
    if ((answer->status == DNS_NXDOMAIN || answer->status == DNS_NODATA) && !l->no_name &&
        ++check->voids > SPF_VOIDS_MOST) {
        check_force(check, AUTH_PERMERROR, "more than %d names that do not exist", SPF_VOIDS_MOST);
        return;
    }
    if (l->term->kind == SPF_PTR) { /* a failure is no match: section 5.5 */
        if (!l->no_name && peer_is_below(check, l->name))
            answer_address(rr, check->request.client);
        return;
    }
    if (is_fail(check, l->question, answer))
        return;
    if (l->term->kind == SPF_MX)
        answer_mx(rr, check, asked, answer);
    else if (l->term->kind == SPF_EXISTS && answer->count)
        answer_address(rr, check->request.client);
    else
        answer_addresses(rr, check, l->term, answer);
}

static void answer_host(SPF_dns_rr_t *rr, struct spf_check *check, const struct asked *asked)
{
    struct spf_lookup *l = &asked->node->lookups[asked->term];
    const struct dns_answer *answer;

    if (asked->host >= l->host_count)
        return;
    answer = question_wait(check, l->hosts[asked->host]);
    if (!is_fail(check, l->hosts[asked->host], answer))
        answer_addresses(rr, check, l->term, answer);
}

/* library_asks - the library's lookup. Once the result is settled all that it asks is temporary trouble: so it ends. */
static SPF_dns_rr_t *library_asks(SPF_dns_server_t *server, const char *name, ns_type type, int should_cache)
{
    struct spf_check *check = server->hook;
    SPF_dns_rr_t *rr = answer_new(server, name, type, NO_DATA);
    struct asked asked;

    (void)should_cache;
    if (!name_read(check, name, &asked))
        check_force(check, AUTH_PERMERROR, "libspf2 asks for a name that it was not given");
    else if (asked.what == 'p')
        asked.node->reached = asked.term;
    else if (asked.what == 'h')
        answer_host(rr, check, &asked);
    else
        answer_term(rr, check, &asked);
    if (check->forced) {
        rr->num_rr = 0;
        rr->herrno = TRY_AGAIN;
    }
    return rr;
}

static SPF_errcode_t compile(SPF_server_t *server, SPF_response_t *response, struct spf_check *check,
                             struct spf_node *node, SPF_record_t **record)
{
    SPF_errcode_t e = SPF_record_compile(server, response, record, program_of(check, node));

    if (e != SPF_E_SUCCESS)
        check_force(check, AUTH_PERMERROR, "libspf2: %s", SPF_strerror(e));
    return e;
}

/* library_wants_record - the library comes to an include or redirect. */
static SPF_errcode_t library_wants_record(SPF_server_t *server, SPF_request_t *request, SPF_response_t *response,
                                          SPF_record_t **record)
{
    struct spf_check *check = server->resolver->hook;
    struct spf_lookup *l;
    struct asked asked;

    *record = NULL;
    if (!name_read(check, request->cur_dom, &asked) || asked.what != 'q') {
        check_force(check, AUTH_PERMERROR, "libspf2 asks for a record that it was not given");
        return SPF_E_DNS_ERROR;
    }
    l = &asked.node->lookups[asked.term];
    if (!count_lookup(check, asked.node, l))
        return SPF_E_DNS_ERROR;
    asked.node->redirected = l->term->kind == SPF_REDIRECT;
    lookup_wait(check, asked.node, l);
    if (!l->node || l->node->fetch == SPF_FETCHED_NONE)
        check_force(check, AUTH_PERMERROR, STR_FMT ": no record", STR_ARG(l->name));
    else if (l->node->fetch == SPF_FETCH_WRONG)
        check_force(check, AUTH_PERMERROR, STR_FMT, STR_ARG(l->node->why));
    else if (l->node->fetch != SPF_FETCHED)
        check_force(check, AUTH_TEMPERROR, STR_FMT, STR_ARG(l->node->why));
    return check->forced ? SPF_E_DNS_ERROR : compile(server, response, check, l->node, record);
}

/* ---- the evaluation ---- */

static enum auth_result result_of(SPF_result_t result)
{
    switch (result) {
    case SPF_RESULT_NEUTRAL:
        return AUTH_NEUTRAL;
    case SPF_RESULT_PASS:
        return AUTH_PASS;
    case SPF_RESULT_FAIL:
        return AUTH_FAIL;
    case SPF_RESULT_SOFTFAIL:
        return AUTH_SOFTFAIL;
    default:
        return AUTH_PERMERROR;
    }
}

/* evaluate - the names told to the library are for its own comments, which nobody reads. */
static void evaluate(struct spf_check *check, SPF_server_t *server, SPF_request_t *request)
{
    SPF_response_t *response = SPF_response_new(request);
    SPF_record_t *record = NULL;
    struct in6_addr v6;
    struct in_addr v4;

    if (!response)
        log_panic("out of memory");
    if (ip_is_v4(check->request.client)) {
        memcpy(&v4, check->request.client.b + 12, 4);
        SPF_request_set_ipv4(request, v4);
    } else {
        memcpy(&v6, check->request.client.b, 16);
        SPF_request_set_ipv6(request, v6);
    }
    if (SPF_request_set_helo_dom(request, "helo.test") || SPF_request_set_env_from(request, "sender@domain.test"))
        log_panic("out of memory");
    request->cur_dom = "domain.test";
    if (compile(server, response, check, check->root, &record) == SPF_E_SUCCESS) {
        response->spf_record_exp = record;
        /* Not SPF_request_query_mailfrom: that lets every loopback address pass. */
        SPF_record_interpret(record, request, response, 0);
        if (!check->forced) {
            check->answer.result = result_of(SPF_response_result(response));
            if (check->answer.result == AUTH_PERMERROR)
                check->answer.problem =
                    arena_printf(check->arena, "libspf2: %s", SPF_strerror(SPF_response_errcode(response)));
        }
    }
    SPF_record_free(record);
    SPF_response_free(response);
}

void judge(struct spf_check *check)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    SPF_dns_server_t dns = {
        .lookup = library_asks, .get_spf = library_wants_record, .name = "sme-milter", .hook = check};
    SPF_server_t *server;
    SPF_request_t *request;

    pthread_once(&once, library_start);
    server = SPF_server_new_dns(&dns, 0);
    request = server ? SPF_request_new(server) : NULL;
    if (!request)
        log_panic("out of memory");
    SPF_server_set_max_dns_mech(server, 1000); /* counted by us, marks are lookups for it, too */
    evaluate(check, server, request);
    SPF_request_free(request);
    SPF_server_free(server);
}
