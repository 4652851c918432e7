/* relay - who is one of us, and services that are for us alone.
 *
 * It grants nothing: relaying is Postfix's decision. What it finds is immunity (`skip = {local}`) and, with `only`, a
 * service for local and authenticated clients.
 */
#include "policy.h"

struct relay_options {
    struct cidr_list networks;
    struct cidr_list except;
    bool only;
};

static const struct option relay_rows[] = {
    OPT_CIDRS(struct relay_options, networks, "", "clients that are our own; empty: local_networks"),
    OPT_CIDRS(struct relay_options, except, "", "clients that are not, although they are in networks (a gateway)"),
    OPT_BOOL(struct relay_options, only, "no", "refuse recipients of clients that are neither local nor authenticated"),
    OPTION_END,
};

static struct finding relay_connect(struct context *c)
{
    const struct relay_options *o = OPTIONS(struct relay_options, c);
    const struct cidr_list *networks = o->networks.count ? &o->networks : local_networks(c);
    const struct cidr *in = cidr_find(networks, c->session->peer.ip);
    const struct cidr *out = cidr_find(&o->except, c->session->peer.ip);

    if (in || out)
        fact_set(c, FACT_RELAY, out ? arena_printf(c->arena, "!" STR_FMT, STR_ARG(out->written)) : in->written);
    c->session->is_local = in && !out;
    return NO_OPINION;
}

static struct finding relay_rcpt(struct context *c)
{
    if (!OPTIONS(struct relay_options, c)->only || c->session->is_local || c->session->auth.n)
        return NO_OPINION;
    return bad(c, "5.7.1", "authentication is required");
}

const struct policy policy_relay = {
    .name = "relay",
    .summary = "tell our own clients from others; close a service to strangers",
    .options = relay_rows,
    .options_size = sizeof(struct relay_options),
    /* At MAIL the profile may have changed with AUTH, and with it these options. */
    .at = {[AT_CONNECT] = relay_connect, [AT_MAIL] = relay_connect, [AT_RCPT] = relay_rcpt},
    .replays = 1u << AT_CONNECT | 1u << AT_MAIL | 1u << AT_RCPT,
};
