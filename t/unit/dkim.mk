# t/unit/dkim.mk - tests of DKIM, its fuzz target, and its benchmark.
check_PROGRAMS += t/unit/dkim t/unit/dkim_keys t/fuzz/replay-dkim_signature
TESTS += t/unit/dkim t/unit/dkim_keys t/fuzz/replay-dkim_signature
EXTRA_PROGRAMS += t/bench/dkim

t_unit_dkim_SOURCES = t/unit/dkim.c t/lib/dkim_maker.c t/lib/dkim_maker.h t/lib/tap.c t/lib/tap.h
t_unit_dkim_LDADD = libsme.a $(SME_LIBS)
t_unit_dkim_keys_SOURCES = t/unit/dkim_keys.c t/lib/dkim_maker.c t/lib/dkim_maker.h t/lib/tap.c t/lib/tap.h
t_unit_dkim_keys_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_dkim_signature_SOURCES = t/fuzz/dkim_signature.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_dkim_signature_LDADD = libsme.a $(SME_LIBS)
t_bench_dkim_SOURCES = t/bench/dkim.c t/lib/dkim_maker.c t/lib/dkim_maker.h
t_bench_dkim_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/dkim_signature
t_fuzz_dkim_signature_SOURCES = t/fuzz/dkim_signature.c t/fuzz/fuzz.h
t_fuzz_dkim_signature_LDADD = libsme.a $(SME_LIBS)
t_fuzz_dkim_signature_LDFLAGS = -fsanitize=fuzzer
endif

CLEANFILES += t/bench/dkim$(EXEEXT)
