/* line.c - a non-blocking socket; OpenSSL between two memory buffers, so that it never writes to a closed one. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "line.h"

#define OUT_MOST 16384

struct smtp_line {
    struct arena *arena;     /* its own: a line may be given up long before the message that it is for */
    struct smtp_line *next;  /* of all; under the lock */
    int fd;
    bool connecting, shaking, over;
    struct str problem;
    struct ip local;
    unsigned local_port;
    bool came_back;          /* under the lock */
    SSL *ssl;                /* NULL: in the clear */
    BIO *from, *to;          /* ciphertext; of ssl */
    char out[OUT_MOST], in[SMTP_REPLY_MOST + 1];
    size_t out_n, in_n;
};

static struct {
    pthread_mutex_t lock;
    struct smtp_line *first;
} lines = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t tls_once = PTHREAD_ONCE_INIT;
static SSL_CTX *tls;

static void tls_init(void)
{
    tls = SSL_CTX_new(TLS_client_method());
    if (!tls)
        return;
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
}

static void fail(struct smtp_line *l, const char *what)
{
    l->over = true;
    l->problem = str_dup(l->arena, str_of(what));
}

/* ---- which are ours ---- */

static unsigned port_of(const struct sockaddr_storage *s)
{
    return ntohs(s->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)s)->sin6_port
                                          : ((const struct sockaddr_in *)s)->sin_port);
}

/* note_ends - as soon as the kernel knows them: it does while it still connects. */
static void note_ends(struct smtp_line *l)
{
    struct sockaddr_storage s = {0};
    socklen_t size = sizeof s;

    if (getsockname(l->fd, (struct sockaddr *)&s, &size) != 0)
        return;
    pthread_mutex_lock(&lines.lock);
    ip_from_sockaddr((const struct sockaddr *)&s, &l->local);
    l->local_port = port_of(&s);
    pthread_mutex_unlock(&lines.lock);
}

bool line_is_ours(struct ip ip, unsigned port)
{
    bool found = false;

    if (!ip.known || port == 0)
        return false;
    pthread_mutex_lock(&lines.lock);
    for (struct smtp_line *l = lines.first; l && !found; l = l->next)
        if (l->local_port == port && ip_equal(l->local, ip))
            found = l->came_back = true;
    pthread_mutex_unlock(&lines.lock);
    return found;
}

bool line_came_back(const struct smtp_line *l)
{
    bool answer;

    pthread_mutex_lock(&lines.lock);
    answer = l->came_back;
    pthread_mutex_unlock(&lines.lock);
    return answer;
}

/* ---- beginning and end ---- */

static socklen_t address_of(struct ip ip, unsigned port, struct sockaddr_storage *s)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)s;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)s;

    memset(s, 0, sizeof *s);
    if (ip_is_v4(ip)) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        memcpy(&v4->sin_addr, ip.b + 12, 4);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    memcpy(&v6->sin6_addr, ip.b, 16);
    return sizeof *v6;
}

struct smtp_line *line_open(struct ip ip, unsigned port)
{
    struct arena *a = arena_new(0);
    struct smtp_line *l = arena_zalloc(a, sizeof *l);
    struct sockaddr_storage s;
    socklen_t size = address_of(ip, port, &s);

    l->arena = a;
    l->connecting = true;
    pthread_mutex_lock(&lines.lock);
    l->next = lines.first;
    lines.first = l;
    pthread_mutex_unlock(&lines.lock);
    l->fd = socket(s.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) {
        fail(l, strerror(errno));
    } else if (connect(l->fd, (const struct sockaddr *)&s, size) == 0 || errno == EINPROGRESS || errno == EINTR) {
        note_ends(l);
    } else {
        fail(l, strerror(errno));
    }
    return l;
}

static void list_remove(struct smtp_line *l)
{
    pthread_mutex_lock(&lines.lock);
    for (struct smtp_line **at = &lines.first; *at; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    pthread_mutex_unlock(&lines.lock);
}

void line_close(struct smtp_line **line)
{
    struct smtp_line *l = *line;

    if (!l)
        return;
    *line = NULL;
    if (!l->over && !l->connecting)
        line_pump(l);
    list_remove(l);
    if (l->ssl)
        SSL_free(l->ssl); /* with its buffers */
    if (l->fd >= 0)
        close(l->fd);
    arena_free(&l->arena); /* and l with it */
}

/* ---- TLS ---- */

static void fail_tls(struct smtp_line *l, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    l->over = true;
    l->problem = arena_printf(l->arena, "%s: %s", what, reason ? reason : "nothing more is known");
    ERR_clear_error();
}

bool line_tls(struct smtp_line *l, struct str name)
{
    pthread_once(&tls_once, tls_init);
    l->ssl = tls ? SSL_new(tls) : NULL;
    if (!l->ssl)
        return false;
    l->from = BIO_new(BIO_s_mem());
    l->to = BIO_new(BIO_s_mem());
    if (!l->from || !l->to) {
        BIO_free(l->from);
        BIO_free(l->to);
        SSL_free(l->ssl);
        l->ssl = NULL;
        return false;
    }
    SSL_set_bio(l->ssl, l->from, l->to);
    SSL_set_connect_state(l->ssl);
    if (name.n)
        SSL_set_tlsext_host_name(l->ssl, str_c(l->arena, name));
    l->shaking = true;
    line_pump(l);
    return true;
}

static void shake(struct smtp_line *l)
{
    int n, error;

    ERR_clear_error();
    n = SSL_do_handshake(l->ssl);
    error = SSL_get_error(l->ssl, n);
    if (n == 1)
        l->shaking = false;
    else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        fail_tls(l, "the TLS handshake failed");
}

/* decipher - what lies in `from`, into `in`. */
static void decipher(struct smtp_line *l)
{
    while (l->in_n < sizeof l->in) {
        int n, error;

        ERR_clear_error();
        n = SSL_read(l->ssl, l->in + l->in_n, (int)(sizeof l->in - l->in_n));
        if (n > 0) {
            l->in_n += (size_t)n;
            continue;
        }
        error = SSL_get_error(l->ssl, n);
        if (error == SSL_ERROR_ZERO_RETURN)
            fail(l, "hung up");
        else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            fail_tls(l, "TLS failed");
        return;
    }
}

/* ---- bytes ---- */

static void send_out(struct smtp_line *l)
{
    for (;;) {
        ssize_t n;

        if (l->ssl && l->out_n < sizeof l->out) {
            int more = BIO_read(l->to, l->out + l->out_n, (int)(sizeof l->out - l->out_n));

            l->out_n += more > 0 ? (size_t)more : 0;
        }
        if (l->out_n == 0)
            return;
        n = send(l->fd, l->out, l->out_n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* it is full, or gone: reading tells, with what it may have said before */
        memmove(l->out, l->out + n, l->out_n - (size_t)n);
        l->out_n -= (size_t)n;
    }
}

/* receive - one piece; false: there is nothing more now. */
static bool receive(struct smtp_line *l)
{
    char bytes[4096];
    size_t room = sizeof l->in - l->in_n;
    ssize_t n;

    if (room == 0)
        return false;
    n = recv(l->fd, bytes, l->ssl || room > sizeof bytes ? sizeof bytes : room, 0);
    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (n <= 0) {
        fail(l, n == 0 ? "hung up" : strerror(errno));
        return false;
    }
    if (!l->ssl) {
        memcpy(l->in + l->in_n, bytes, (size_t)n);
        l->in_n += (size_t)n;
        return true;
    }
    if (BIO_write(l->from, bytes, (int)n) != (int)n)
        fail_tls(l, "TLS failed");
    if (!l->over && l->shaking)
        shake(l);
    if (!l->over && !l->shaking)
        decipher(l);
    return !l->over;
}

static void finish_connecting(struct smtp_line *l)
{
    struct pollfd p = {.fd = l->fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;

    if (poll(&p, 1, 0) <= 0)
        return;
    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error) {
        fail(l, strerror(error));
        return;
    }
    l->connecting = false;
    note_ends(l);
}

void line_pump(struct smtp_line *l)
{
    if (!l->over && l->connecting)
        finish_connecting(l);
    if (l->over || l->connecting)
        return;
    if (l->shaking)
        shake(l);
    send_out(l);
    while (!l->over && receive(l))
        send_out(l);
    send_out(l);
}

int line_fd(const struct smtp_line *l)
{
    return l->fd;
}

short line_events(const struct smtp_line *l)
{
    return l->connecting ? POLLOUT : l->out_n ? POLLIN | POLLOUT : POLLIN;
}

bool line_is_connected(const struct smtp_line *l)
{
    return !l->connecting && !l->shaking;
}

bool line_is_over(const struct smtp_line *l)
{
    return l->over;
}

struct str line_problem(const struct smtp_line *l)
{
    return l->problem;
}

void line_say(struct smtp_line *l, struct str bytes)
{
    if (l->over)
        return;
    if (l->ssl) {
        ERR_clear_error();
        if (SSL_write(l->ssl, bytes.p, (int)bytes.n) != (int)bytes.n)
            fail_tls(l, "TLS failed");
    } else if (bytes.n <= sizeof l->out - l->out_n) {
        memcpy(l->out + l->out_n, bytes.p, bytes.n);
        l->out_n += bytes.n;
    } else {
        fail(l, "takes nothing");
    }
    send_out(l);
}

struct str line_heard(const struct smtp_line *l)
{
    return (struct str){l->in, l->in_n};
}

void line_take(struct smtp_line *l, size_t n)
{
    memmove(l->in, l->in + n, l->in_n - n);
    l->in_n -= n;
}
