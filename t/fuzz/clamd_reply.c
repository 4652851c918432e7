/* clamd_reply.c - fuzz target: an answer of clamd is clean for exactly one text, and a virus always has a name. */
#include "fuzz.h"

#include "../../milter/scan/clamd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str reply = {(const char *)data, size};
    struct virus_answer answer = clamd_parse(a, reply);
    bool clean = str_is(reply, STR("stream: OK")) || str_is(reply, STR("stream: OK\n"));

    must((answer.said == VIRUS_CLEAN) == clean);
    must((answer.text.n > 0) == !clean);
    must(!answer.known);
    must(answer.text.n <= 300);
    if (answer.said == VIRUS_FOUND)
        must(str_starts(reply, STR("stream: ")));
    touch(answer.text);
    arena_free(&a);
    return 0;
}
