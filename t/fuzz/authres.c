/* authres.c - fuzz target: what claims to be our Authentication-Results, and our own made of hostile values. */
#include "../../milter/auth/results.h"
#include "../../milter/authres.h"
#include "../../milter/config.h"
#include "../../milter/message.h"
#include "fuzz.h"

#define ID "mx.here.test"

static void check_reading(struct arena *a, struct str value)
{
    struct buf b = buf_in(a);

    authres_claims(a, value, STR(ID));
    authres_says(a, value, "dmarc", "pass", "header.from", STR("a.test"));
    buf_add(&b, STR(" (c) " ID " 1;"));
    buf_add(&b, value);
    must(authres_claims(a, buf_str(&b), STR(ID))); /* whatever follows */
    b.len = 0;
    buf_add(&b, STR("other.test; "));
    buf_add(&b, value);
    must(!authres_claims(a, buf_str(&b), STR(ID)));
}

static void check_writing(struct arena *a, struct str evil)
{
    struct dkim_result dkim = {.result = AUTH_FAIL,
                               .domain = evil,
                               .selector = evil,
                               .identity = evil,
                               .algorithm = evil,
                               .b = evil,
                               .problem = evil};
    struct auth_results results = {
        .spf_from = {true, AUTH_FAIL, evil, evil}, .spf_helo = {true, AUTH_FAIL, evil, evil}, .dkim = &dkim,
        .dkim_count = 1, .dkim_checked = true,
        .dmarc = {.checked = true, .result = AUTH_FAIL, .author_domain = evil, .problem = evil},
    };
    struct session session = {.auth = evil};
    struct message message = {.arena = a, .session = &session, .auth = &results, .sender = {.text = evil}};
    struct str text = authres_text(a, &message, STR(ID));
    size_t line = 24;

    for (size_t i = 0; i < text.n; i++) {
        must((text.p[i] >= 0x20 && text.p[i] < 0x7f) || (text.p[i] == '\n' && i + 1 < text.n && text.p[i + 1] == ' '));
        line = text.p[i] == '\n' ? 0 : line + 1;
        must(line <= 998);
    }
    must(authres_claims(a, text, STR(ID)));
    must(authres_says(a, text, "dmarc", "fail", NULL, STR_NONE) &&
         authres_says(a, text, "dkim", "fail", NULL, STR_NONE));
    must(!authres_says(a, text, "dmarc", "pass", NULL, STR_NONE) &&
         !authres_says(a, text, "spf", "pass", NULL, STR_NONE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str value = {(const char *)data, size};

    check_reading(a, value);
    check_writing(a, value);
    arena_free(&a);
    return 0;
}
