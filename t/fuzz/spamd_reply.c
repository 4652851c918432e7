/* spamd_reply.c - fuzz target: an answer of spamd gives a score that is a number and tests that are words, or a
 * problem. */
#include <math.h>

#include "fuzz.h"

#include "../../milter/scan/spamd.h"

static void check_number(struct str text, double value)
{
    must(text.n > 0 && text.n <= 12 && isfinite(value) && fabs(value) < 1e12);
    for (size_t i = 0; i < text.n; i++)
        must((text.p[i] >= '0' && text.p[i] <= '9') || text.p[i] == '.' || (text.p[i] == '-' && i == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct spam_answer answer = spamd_parse(a, (struct str){(const char *)data, size});

    must(answer.ok == (answer.problem.n == 0));
    must(answer.problem.n <= 200);
    touch(answer.problem);
    if (answer.ok) {
        check_number(answer.score_text, answer.score);
        check_number(answer.required_text, answer.required);
        must(answer.tests.n <= size);
        for (size_t i = 0; i < answer.tests.n; i++) {
            char c = answer.tests.p[i];

            must((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == ',');
        }
    }
    arena_free(&a);
    return 0;
}
