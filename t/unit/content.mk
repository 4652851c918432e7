# t/unit/content.mk - tests of reading messages: MIME and links, their fuzz targets, and their benchmark.
check_PROGRAMS += t/unit/mime t/unit/url t/fuzz/replay-mime t/fuzz/replay-url
TESTS += t/unit/mime t/unit/url t/fuzz/replay-mime t/fuzz/replay-url
EXTRA_PROGRAMS += t/bench/mime

t_unit_mime_SOURCES = t/unit/mime.c t/lib/tap.c t/lib/tap.h
t_unit_mime_LDADD = libsme.a $(SME_LIBS)
t_unit_url_SOURCES = t/unit/url.c t/lib/tap.c t/lib/tap.h
t_unit_url_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_mime_SOURCES = t/fuzz/mime.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_mime_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_url_SOURCES = t/fuzz/url.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_url_LDADD = libsme.a $(SME_LIBS)
t_bench_mime_SOURCES = t/bench/mime.c
t_bench_mime_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/mime t/fuzz/url
t_fuzz_mime_SOURCES = t/fuzz/mime.c t/fuzz/fuzz.h
t_fuzz_mime_LDADD = libsme.a $(SME_LIBS)
t_fuzz_mime_LDFLAGS = -fsanitize=fuzzer
t_fuzz_url_SOURCES = t/fuzz/url.c t/fuzz/fuzz.h
t_fuzz_url_LDADD = libsme.a $(SME_LIBS)
t_fuzz_url_LDFLAGS = -fsanitize=fuzzer
endif

CLEANFILES += t/bench/mime$(EXEEXT)
