/* import_postfix.c - Postfix's side of an SME Server: main.cf, each line with the property that it came from.
 *
 * The two texts are what `postfix snippet --settings` reads: it adds what the filter itself needs. Where Postfix's own
 * value serves there is no line but a note.
 */
#include "import_postfix.h"
#include "postconf.h"

enum { INLINE_MOST = 100 << 10 }; /* bytes of a table that stands in main.cf itself */

/* is_word - a host, an address or a mailbox that means itself in main.cf: no blank, quote, comma, brace or dollar. */
static bool is_word(struct str s, const char *also)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                     c == '-' || c == '_';

        if (!plain && (c == '\0' || !strchr(also, c)))
            return false;
    }
    return s.n > 0;
}

static void line(struct buf *b, struct sme_source from, const char *name, struct str value)
{
    buf_addf(b, "\n# " STR_FMT "\n%s =%s", STR_ARG(from.name), name, value.n ? " " : "");
    buf_add(b, value);
    buf_addc(b, '\n');
}

struct str import_net(struct arena *a, const struct cidr *net)
{
    struct str address = ip_text(a, net->net);

    if (ip_is_v4(net->net) && net->bits >= 96)
        return arena_printf(a, STR_FMT "/%u", STR_ARG(address), net->bits - 96);
    return arena_printf(a, "[" STR_FMT "]/%u", STR_ARG(address), net->bits);
}

/* ---- the machine ---- */

static void machine(struct postfix_import *p, struct buf *b)
{
    const struct sme *sme = p->sme;

    if (sme->hostname.n && is_word(sme->hostname, "")) {
        line(b, sme->system_name.from, "myhostname", sme->hostname);
        import_done(p->notes, sme->system_name.from, "myhostname = " STR_FMT, STR_ARG(sme->hostname));
    }
    if (is_word(sme->domain_name.value, "")) {
        line(b, sme->domain_name.from, "mydomain", sme->domain_name.value);
        buf_add(b, STR("myorigin = $mydomain\n"));
        import_done(p->notes, sme->domain_name.from, "mydomain, and myorigin = $mydomain");
    }
    if (sme->max_message_size.from.set) {
        struct str size = arena_printf(p->arena, "%ld", sme->max_message_size.value);

        line(b, sme->max_message_size.from, "message_size_limit", size);
        buf_add(b, STR("mailbox_size_limit = 0\nvirtual_mailbox_limit = 0\n"));
        import_done(p->notes, sme->max_message_size.from, "message_size_limit = " STR_FMT "; mailboxes are not "
                    "limited, since Postfix delivers nothing where their limit is below it", STR_ARG(size));
    }
    if (sme->smart_host.value.n) {
        size_t colon = str_find(sme->smart_host.value, ':');
        struct str host = str_slice(sme->smart_host.value, 0, colon);

        if (!is_word(sme->smart_host.value, ":")) {
            import_left_out(p->notes, sme->smart_host.from, "this is not the name of a host");
            return;
        }
        host = arena_printf(p->arena, "[" STR_FMT "]" STR_FMT, STR_ARG(host),
                            STR_ARG(str_slice(sme->smart_host.value, colon, sme->smart_host.value.n)));
        line(b, sme->smart_host.from, "relayhost", host);
        import_done(p->notes, sme->smart_host.from, "relayhost = " STR_FMT, STR_ARG(host));
    }
}

bool import_banner(struct postfix_import *p, const struct sme_text *greeting, struct str *banner)
{
    struct str rest = str_trim(greeting->value), word, after;
    struct buf b = buf_in(p->arena);

    if (!shell_quotable(rest) || rest.n > 400 || str_find(rest, '{') < rest.n || str_find(rest, '}') < rest.n) {
        import_left_out(p->notes, greeting->from, "a banner is at most 400 printable ASCII characters, without braces");
        return false;
    }
    after = rest;
    if (str_token(&after, &word) && (str_is_nocase(word, p->sme->hostname) || str_find(word, '.') < word.n))
        rest = str_trim(after); /* its first word is the server's name, which Postfix writes itself */
    after = rest;
    if (str_token(&after, &word) && str_is_nocase(word, STR("ESMTP")))
        rest = str_trim(after);
    buf_add(&b, STR("$myhostname ESMTP"));
    if (rest.n)
        buf_addc(&b, ' ');
    for (size_t i = 0; i < rest.n; i++) {
        if (rest.p[i] == '$')
            buf_addc(&b, '$');
        buf_addc(&b, rest.p[i]);
    }
    *banner = buf_str(&b);
    return true;
}

static void greeting(struct postfix_import *p, struct buf *b)
{
    const struct sme_text *text = &p->sme->service[SME_SMTP].greeting;
    struct str banner;

    if (text->value.n == 0 || !import_banner(p, text, &banner))
        return;
    line(b, text->from, "smtpd_banner", banner);
    import_done(p->notes, text->from, "smtpd_banner = " STR_FMT, STR_ARG(banner));
}

/* ---- who may relay ---- */

static void add_net(struct postfix_import *p, struct buf *list, struct buf *comment, const struct sme_network *network)
{
    bool is_v4 = ip_is_v4(network->net.net) && network->net.bits >= 96;

    if (!network->relay_without_auth.value) {
        import_done(p->notes, network->relay_without_auth.from, STR_FMT " must log in before it may relay: it is not "
                    "in mynetworks", STR_ARG(import_net(p->arena, &network->net)));
        return;
    }
    if (network->net.bits < (is_v4 ? 96 + 8 : 16)) {
        import_left_out(p->notes, network->from, "a network this wide would be an open relay: it is not in mynetworks");
        return;
    }
    buf_addf(list, " " STR_FMT, STR_ARG(import_net(p->arena, &network->net)));
    buf_addf(comment, ", " STR_FMT, STR_ARG(network->from.name));
    import_done(p->notes, network->relay_without_auth.from, STR_FMT " is in mynetworks: it may relay on port 25 "
                "without a password", STR_ARG(import_net(p->arena, &network->net)));
}

static bool is_in_nets(const struct sme *sme, struct ip ip)
{
    struct ip local;

    for (size_t i = 0; i < sme->network_count; i++)
        if (sme->networks[i].relay_without_auth.value && cidr_has(&sme->networks[i].net, ip))
            return true;
    return ip_parse(sme->local_ip.value, &local) && ip_equal(local, ip);
}

static void networks(struct postfix_import *p, struct buf *b)
{
    const struct sme *sme = p->sme;
    struct buf list = buf_in(p->arena), comment = buf_in(p->arena);
    struct ip ip;

    buf_add(&comment, sme->service[SME_SMTP].relay_requires_auth.from.name);
    if (sme->gateway_ip.value.n && ip_parse(sme->gateway_ip.value, &ip)) { /* the first match decides: before its net */
        bool is_v4 = ip_is_v4(ip);

        buf_addf(&list, is_v4 ? "!" STR_FMT " " : "![" STR_FMT "] ", STR_ARG(ip_text(p->arena, ip)));
        buf_addf(&comment, ", " STR_FMT, STR_ARG(sme->gateway_ip.from.name));
        import_done(p->notes, sme->gateway_ip.from, "excepted in mynetworks: it never relays");
    } else if (sme->gateway_ip.value.n) {
        import_left_out(p->notes, sme->gateway_ip.from, "this is not an address");
    }
    buf_add(&list, STR("127.0.0.0/8 [::1]/128"));
    if (ip_parse(sme->local_ip.value, &ip)) { /* this machine by its other name */
        bool is_v4 = ip_is_v4(ip);

        buf_addf(&list, is_v4 ? " " STR_FMT : " [" STR_FMT "]", STR_ARG(ip_text(p->arena, ip)));
        buf_addf(&comment, ", " STR_FMT, STR_ARG(sme->local_ip.from.name));
    }
    if (ip_parse(sme->external_ip.value, &ip) && !is_in_nets(sme, ip)) {
        bool is_v4 = ip_is_v4(ip);

        buf_addf(&list, is_v4 ? " " STR_FMT : " [" STR_FMT "]", STR_ARG(ip_text(p->arena, ip)));
        buf_addf(&comment, ", " STR_FMT, STR_ARG(sme->external_ip.from.name));
    }
    for (size_t i = 0; i < sme->network_count; i++)
        add_net(p, &list, &comment, &sme->networks[i]);
    line(b, (struct sme_source){.name = buf_str(&comment)}, "mynetworks", buf_str(&list));
}

/* ---- which domains, and where their mail goes ---- */

/* route - "smtp:[10.0.0.5]:2525" for a MailServer. */
static struct str route(struct postfix_import *p, struct str server)
{
    struct str host = server, port = STR_NONE;
    size_t colon = str_rfind(server, ':');

    if (server.n && server.p[0] == '[') {
        host = str_slice(server, 1, str_find(server, ']'));
        port = str_slice(server, str_find(server, ']') + 1, server.n);
    } else if (colon < server.n && str_find(server, ':') == colon) {
        host = str_slice(server, 0, colon);
        port = str_slice(server, colon, server.n);
    }
    if (!is_word(host, ":") || !is_word(port.n ? port : STR("x"), ":"))
        return STR_NONE;
    return arena_printf(p->arena, "smtp:[" STR_FMT "]" STR_FMT, STR_ARG(host), STR_ARG(port));
}

struct routing {
    struct buf local, relayed, routes;  /* as the parameters want them */
    struct buf local_from, relayed_from; /* for the comments */
};

static void add_from(struct buf *b, struct sme_source from)
{
    if (b->len < 400)
        buf_addf(b, b->len ? ", " STR_FMT : STR_FMT, STR_ARG(from.name));
    else if (b->data[b->len - 1] != '.')
        buf_add(b, STR(" ..."));
}

static void add_domain(struct postfix_import *p, struct routing *r, const struct sme_domain *d)
{
    const struct sme_text *server = d->mail_server.value.n ? &d->mail_server : &p->sme->delegate;
    struct str to;

    if (!is_word(d->name, "")) {
        import_left_out(p->notes, d->from, "this name cannot stand in Postfix's lists");
        return;
    }
    if (server->value.n == 0) {
        buf_addf(&r->local, ", " STR_FMT, STR_ARG(d->name));
        add_from(&r->local_from, d->from);
        import_done(p->notes, d->from, STR_FMT " is in mydestination", STR_ARG(d->name));
        return;
    }
    to = route(p, server->value);
    if (to.n == 0) {
        import_left_out(p->notes, server->from, "this is no server that " STR_FMT "'s mail could go to",
                        STR_ARG(d->name));
        return;
    }
    buf_addf(&r->relayed, r->relayed.len ? ", " STR_FMT : STR_FMT, STR_ARG(d->name));
    buf_addf(&r->routes, "%s{" STR_FMT " = " STR_FMT "}", r->routes.len ? ", " : "", STR_ARG(d->name), STR_ARG(to));
    add_from(&r->relayed_from, server->from);
    import_done(p->notes, server->from, STR_FMT " is in relay_domains, transport_maps has " STR_FMT, STR_ARG(d->name),
                STR_ARG(to));
}

/* table - name = inline:{...}, unless it is too long to stand there. */
static void table(struct postfix_import *p, struct buf *b, struct sme_source from, const char *name,
                  const struct buf *pairs)
{
    struct buf value = buf_in(p->arena);

    if (pairs->len == 0)
        return;
    if (pairs->len > INLINE_MOST) {
        import_left_out(p->notes, from, "%s has become too long to stand in main.cf: it needs a table of its own",
                        name);
        return;
    }
    buf_add(&value, STR("inline:{"));
    buf_add(&value, buf_str(pairs));
    buf_add(&value, STR("}"));
    line(b, from, name, buf_str(&value));
}

static void domains(struct postfix_import *p, struct buf *b)
{
    struct routing r = {buf_in(p->arena), buf_in(p->arena), buf_in(p->arena), buf_in(p->arena), buf_in(p->arena)};

    buf_add(&r.local, STR("$myhostname, localhost.$mydomain, localhost"));
    for (size_t i = 0; i < p->sme->domain_count; i++)
        add_domain(p, &r, &p->sme->domains[i]);
    if (r.local_from.len == 0)
        buf_add(&r.local_from, STR("domains"));
    line(b, (struct sme_source){.name = buf_str(&r.local_from)}, "mydestination", buf_str(&r.local));
    if (r.relayed.len == 0)
        buf_add(&r.relayed_from, STR("domains: none has a MailServer, and there is no DelegateMailServer"));
    line(b, (struct sme_source){.name = buf_str(&r.relayed_from)}, "relay_domains", buf_str(&r.relayed));
    table(p, b, (struct sme_source){.name = buf_str(&r.relayed_from)}, "transport_maps", &r.routes);
}

/* ---- accounts ---- */

static void unknown_users(struct postfix_import *p, struct buf *b)
{
    const struct sme *sme = p->sme;

    if (sme->delegate.value.n) {
        import_notice(p->notes, sme->unknown_user.from, "all mail goes to the DelegateMailServer, which knows its "
                      "users");
        return;
    }
    if (sme->unknown_user_bounces) {
        import_done(p->notes, sme->unknown_user.from, "unknown users are refused: by goodrcptto, and by Postfix's "
                    "local_recipient_maps, which stays as it is");
        return;
    }
    if (!is_word(sme->unknown_user.value, "@+")) {
        import_left_out(p->notes, sme->unknown_user.from, "this is neither an account nor an address");
        return;
    }
    line(b, sme->unknown_user.from, "luser_relay", sme->unknown_user.value);
    buf_add(b, STR("local_recipient_maps =\n"));
    import_done(p->notes, sme->unknown_user.from, "luser_relay = " STR_FMT ", and local_recipient_maps is empty: "
                "nobody is unknown", STR_ARG(sme->unknown_user.value));
}

/* group - its members; each of them may be forwarded in turn. */
static void group(struct postfix_import *p, const struct sme_account *account, struct buf *pairs, struct buf *from)
{
    const struct sme_texts *members = &account->members;

    if (!is_word(account->name, "@+=")) {
        import_left_out(p->notes, account->from, "the name cannot stand in virtual_alias_maps");
        return;
    }
    if (pairs->len > INLINE_MOST)
        return;
    buf_addf(pairs, "%s{" STR_FMT " = ", pairs->len ? ", " : "", STR_ARG(account->name));
    for (size_t i = 0; i < members->count; i++) {
        if (is_word(members->items[i], "@+="))
            buf_addf(pairs, "%s" STR_FMT, i ? ", " : "", STR_ARG(members->items[i]));
        else
            import_left_out(p->notes, members->from, "\"" STR_FMT "\" cannot stand in virtual_alias_maps",
                            STR_ARG(str_escaped(p->arena, members->items[i])));
    }
    buf_addc(pairs, '}');
    add_from(from, members->from);
    import_done(p->notes, members->from, "virtual_alias_maps: its mail goes to %zu members", members->count);
}

/* aliases - pseudonyms, groups, and users whose mail goes elsewhere. */
static void aliases(struct postfix_import *p, struct buf *b)
{
    struct buf pairs = buf_in(p->arena), from = buf_in(p->arena);
    struct sme_source first = {.name = STR_NONE};
    size_t lists = 0;

    for (size_t i = 0; i < p->sme->account_count; i++) {
        const struct sme_account *account = &p->sme->accounts[i];

        if (account->members.count) {
            group(p, account, &pairs, &from);
            continue;
        }
        if (account->kind == SME_GROUP && account->receives && lists++ == 0)
            first = account->from;
        if (account->goes_to.n == 0 || str_is(account->goes_to, account->name))
            continue;
        if (!is_word(account->name, "@+=") || !is_word(account->goes_to, "@+=")) {
            import_left_out(p->notes, account->from, "\"" STR_FMT "\" cannot stand in virtual_alias_maps",
                            STR_ARG(str_escaped(p->arena, account->goes_to)));
            continue;
        }
        if (pairs.len <= INLINE_MOST)
            buf_addf(&pairs, "%s{" STR_FMT " = " STR_FMT "%s" STR_FMT "}", pairs.len ? ", " : "",
                     STR_ARG(account->name), STR_ARG(account->keeps_copy ? account->name : STR_NONE),
                     account->keeps_copy ? ", " : "", STR_ARG(account->goes_to));
        add_from(&from, account->from);
        if (account->kind != SME_PSEUDONYM)
            import_done(p->notes, account->from, "virtual_alias_maps: its mail goes to " STR_FMT "%s",
                        STR_ARG(account->goes_to), account->keeps_copy ? ", and to its mailbox" : "");
    }
    table(p, b, (struct sme_source){.name = buf_str(&from)}, "virtual_alias_maps", &pairs);
    if (lists)
        import_notice(p->notes, first, "mailing lists (there are %zu) need an alias of each in alias_maps, which leads "
                      "to the program that knows their readers", lists);
}

/* extensions - goodrcptto takes bart-lists@ for bart; Postfix must not refuse it behind that. */
static void extensions(struct buf *b)
{
    line(b, (struct sme_source){.name = STR("goodrcptto: user-anything is user, as on every SME Server")},
         "recipient_delimiter", STR("-"));
}

static void outbound(struct postfix_import *p)
{
    const struct sme_service *s = &p->sme->service[SME_SMTP];

    if (s->proxy.from.set)
        import_notice(p->notes, s->proxy.from, "\"" STR_FMT "\": what the local network sends to port 25 elsewhere is "
                      "for the firewall to block or to redirect", STR_ARG(str_escaped(p->arena, s->proxy.value)));
    if (s->proxy_port.from.set)
        import_notice(p->notes, s->proxy_port.from, "goes with Proxy: a matter of the firewall");
}

bool import_postfix(struct arena *a, const struct sme *sme, struct buf *main_cf, struct buf *master_cf,
                    struct import_notes *notes)
{
    struct postfix_import p = {a, sme, notes};
    const struct sme_text *order = NULL; /* a list of ciphers, whose order counted in the original */
    size_t before = notes->left_out;

    buf_add(main_cf, STR("# main.cf - what an SME Server's properties set in Postfix. `sme-milterctl postfix snippet "
                         "--settings DIR` adds\n# what sme-milter needs, and prints or applies both.\n"));
    machine(&p, main_cf);
    greeting(&p, main_cf);
    networks(&p, main_cf);
    domains(&p, main_cf);
    unknown_users(&p, main_cf);
    aliases(&p, main_cf);
    extensions(main_cf);
    outbound(&p);
    for (int i = SME_PORTS - 1; i >= 0; i--)
        if (sme->service[i].ciphers.value.n)
            order = &sme->service[i].ciphers;
    if (order)
        line(main_cf, order->from, "tls_preempt_cipherlist", STR("yes"));
    import_services(&p, master_cf);
    return notes->left_out == before;
}
