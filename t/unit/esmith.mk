# t/unit/esmith.mk - tests of the reader of e-smith databases.
check_PROGRAMS += t/unit/esmith t/fuzz/replay-esmith
TESTS += t/unit/esmith t/fuzz/replay-esmith

t_unit_esmith_SOURCES = t/unit/esmith.c t/lib/tap.c t/lib/tap.h
t_unit_esmith_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_esmith_SOURCES = t/fuzz/esmith.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_esmith_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/esmith
t_fuzz_esmith_SOURCES = t/fuzz/esmith.c t/fuzz/fuzz.h
t_fuzz_esmith_LDADD = libsme.a $(SME_LIBS)
t_fuzz_esmith_LDFLAGS = -fsanitize=fuzzer
endif
