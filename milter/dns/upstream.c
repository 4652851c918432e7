/* upstream.c - asking one name server, and noticing that it is dead. */
#include <ares.h>
#include <sys/epoll.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "cache.h"
#include "upstream.h"

#define MISSED_MOST 3
#define DOUBT_MOST_MS 1000
#define PROBE_EACH_MS 1000
#define WINDOW 180      /* packets; a socket's usual buffer of 208 KiB holds 256 small ones */
#define PACED_EACH_MS 8
#define RECEIVE_BUFFER (1024 * 1024)
#define UDP_MOST 4096 /* larger than what we say with EDNS, for servers that do not care */

/* ---- channels ---- */

static void socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct channel *c = arg;
    struct epoll_event event = {.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u),
                                .data.u64 = (uint64_t)c->tag << 32 | (uint32_t)fd};

    if (!readable && !writable)
        epoll_ctl(c->epoll, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(c->epoll, EPOLL_CTL_MOD, fd, &event) != 0)
        epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &event);
}

static bool channel_open(struct channel *c, const struct server *server, bool tcp, int64_t timeout_ms)
{
    struct ares_addr_port_node node = {.udp_port = (int)server->port, .tcp_port = (int)server->port};
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS | ARES_FLAG_IGNTC
                 | (tcp ? ARES_FLAG_USEVC : 0),
        .timeout = (int)timeout_ms,
        .tries = 1,
        .ndots = 1,
        .socket_receive_buffer_size = RECEIVE_BUFFER,
        .lookups = (char[]){"b"},
        .sock_state_cb = socket_state,
        .sock_state_cb_data = c,
        .ednspsz = UDP_MOST, /* longer ones are cut without a word */
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_SOCK_RCVBUF
               | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ | ARES_OPT_DOMAINS | ARES_OPT_NOROTATE;

    if (ares_init_options(&c->ares, &options, mask) != ARES_SUCCESS) {
        c->ares = NULL;
        return false;
    }
    if (ip_is_v4(server->ip)) {
        node.family = AF_INET;
        memcpy(&node.addr.addr4, server->ip.b + 12, 4);
    } else {
        node.family = AF_INET6;
        memcpy(&node.addr.addr6, server->ip.b, 16);
    }
    return ares_set_servers_ports(c->ares, &node) == ARES_SUCCESS;
}

struct upstreams *upstreams_new(const struct server *servers, size_t count, int64_t timeout_ms, int epoll)
{
    struct upstreams *set = dns_alloc(sizeof *set);

    set->items = dns_alloc(count * sizeof *set->items);
    set->count = count;
    set->timeout_ms = timeout_ms;
    for (size_t i = 0; i < count; i++) {
        struct upstream *u = &set->items[i];

        u->server = servers[i];
        u->doubt_ms = timeout_ms / 4 < DOUBT_MOST_MS ? timeout_ms / 4 : DOUBT_MOST_MS;
        u->udp = (struct channel){.epoll = epoll, .tag = (uint32_t)i * 2};
        u->tcp = (struct channel){.epoll = epoll, .tag = (uint32_t)i * 2 + 1};
        if (!channel_open(&u->udp, &servers[i], false, timeout_ms)
            || !channel_open(&u->tcp, &servers[i], true, timeout_ms)) {
            upstreams_free(set);
            return NULL;
        }
    }
    return set;
}

void upstreams_free(struct upstreams *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].udp.ares)
            ares_destroy(set->items[i].udp.ares);
        if (set->items[i].tcp.ares)
            ares_destroy(set->items[i].tcp.ares);
    }
    free(set->items);
    free(set);
}

static struct channel *channel_of(struct upstreams *set, size_t tag)
{
    struct upstream *u = &set->items[tag / 2];

    return tag % 2 ? &u->tcp : &u->udp;
}

void upstreams_event(struct upstreams *set, uint64_t data, uint32_t events)
{
    ares_socket_t fd = (ares_socket_t)(uint32_t)data;
    size_t tag = data >> 32;

    if (tag < set->count * 2)
        ares_process_fd(channel_of(set, tag)->ares,
                        events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? fd : ARES_SOCKET_BAD,
                        events & (EPOLLOUT | EPOLLERR) ? fd : ARES_SOCKET_BAD);
}

void upstreams_tick(struct upstreams *set)
{
    for (size_t tag = 0; tag < set->count * 2; tag++)
        if (channel_of(set, tag)->open)
            ares_process_fd(channel_of(set, tag)->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

bool upstreams_busy(const struct upstreams *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].udp.open || set->items[i].tcp.open)
            return true;
    return false;
}

/* ---- asking; `done` may be called before these return ---- */

void upstream_send(struct upstream *u, bool tcp, const uint8_t *packet, size_t n, int64_t now, ares_callback done,
                   void *arg)
{
    struct channel *c = tcp ? &u->tcp : &u->udp;

    if (!tcp && !u->silent_since)
        u->silent_since = now;
    c->open++;
    ares_send(c->ares, packet, (int)n, done, arg);
}

static void probe_done(void *arg, int status, int timeouts, unsigned char *abuf, int alen)
{
    struct upstream *u = arg;

    (void)status;
    (void)timeouts;
    u->udp.open--;
    if (abuf && alen > 0)
        upstream_heard(u);
}

void upstream_probe(struct upstream *u, uint16_t id, int64_t now)
{
    uint8_t packet[DNS_ASK_MOST];

    if (now - u->probed < PROBE_EACH_MS)
        return;
    u->probed = now;
    if (!u->probing_since)
        u->probing_since = now;
    upstream_send(u, false, packet, packet_ask(packet, id, STR(""), DNS_NS, !u->plain), now, probe_done, u);
}

/* ---- health ---- */

bool upstream_is_doubted(const struct upstream *u, int64_t now)
{
    return u->silent_since && now - u->silent_since >= u->doubt_ms;
}

bool upstream_has_room(struct upstream *u, int64_t now)
{
    if (u->fresh < WINDOW)
        return true;
    if (u->paced_at != now)
        u->paced = 0;
    u->paced_at = now;
    return u->paced++ < PACED_EACH_MS;
}

/* tell - say that a server died or came back. */
static void tell(const struct upstream *u, void (*say)(const char *format, ...), const char *what)
{
    struct arena *a = arena_new(0);
    struct str server = server_text(a, &u->server);

    say("DNS server " STR_FMT " %s", STR_ARG(server), what);
    arena_free(&a);
}

void upstream_heard(struct upstream *u)
{
    if (u->dead)
        tell(u, log_info, "answers again");
    u->dead = false;
    u->silent_since = u->probing_since = 0;
    u->missed = 0;
}

static void miss(struct upstream *u, uint64_t serial)
{
    if (u->missed == 0 || u->missed_last != serial)
        u->missed++;
    u->missed_last = serial;
}

static void die(struct upstream *u)
{
    if (!u->dead)
        tell(u, log_warn, "does not answer");
    u->dead = true;
}

void upstream_missed(struct upstream *u, uint64_t serial, int64_t sent, int64_t now)
{
    if (!u->silent_since || sent < u->silent_since)
        return; /* it has answered others since */
    miss(u, serial);
    if (u->missed >= MISSED_MOST && u->probing_since && now - u->probing_since >= u->doubt_ms)
        die(u);
}

void upstream_refused(struct upstream *u, uint64_t serial, int64_t now)
{
    miss(u, serial);
    u->silent_since = now - u->doubt_ms > 0 ? now - u->doubt_ms : 1;
    if (u->missed >= MISSED_MOST)
        die(u);
}
