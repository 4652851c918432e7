/* smtp_reply.c - fuzz target: what an SMTP server says. A reply has a code, is taken whole, and comes out the same
 * whether it arrived at once or with more behind it. */
#include "fuzz.h"

#include "../../milter/smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str heard = {(const char *)data, size};
    struct smtp_reply r, again;
    size_t taken = 0, taken_again = 0;
    enum smtp_heard said = smtp_reply_read(a, heard, &r, &taken);

    must(said != SMTP_MORE || size < SMTP_REPLY_MOST);
    if (said == SMTP_WHOLE) {
        struct str status = str_of(r.status);

        must(taken > 0 && taken <= size && taken <= SMTP_REPLY_MOST && heard.p[taken - 1] == '\n');
        must(r.code >= 200 && r.code <= 599);
        must(r.text.n <= SMTP_TEXT_MOST);
        must(status.n == 0 || status.p[0] == '0' + r.code / 100);
        must((r.offers & ~(unsigned)(SMTP_OFFERS_TLS | SMTP_OFFERS_UTF8)) == 0);
        must(smtp_reply_read(a, str_slice(heard, 0, taken), &again, &taken_again) == SMTP_WHOLE);
        must(taken_again == taken && again.code == r.code && str_is(again.text, r.text));
        must(smtp_reply_read(a, str_slice(heard, 0, taken - 1), &again, &taken_again) != SMTP_WHOLE);
        touch(r.text);
        touch(status);
    }
    arena_free(&a);
    return 0;
}
