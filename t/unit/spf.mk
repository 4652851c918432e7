# t/unit/spf.mk - tests of SPF (milter/auth/spf*.c), its fuzz target, and the benchmark.
check_PROGRAMS += t/unit/spf t/unit/spf_limits t/fuzz/replay-spf_record
TESTS += t/unit/spf t/unit/spf_limits t/fuzz/replay-spf_record
EXTRA_PROGRAMS += t/bench/spf

t_unit_spf_SOURCES = t/unit/spf.c t/unit/spf_test.h t/lib/tap.c t/lib/tap.h
t_unit_spf_LDADD = libsme.a $(SME_LIBS)
t_unit_spf_limits_SOURCES = t/unit/spf_limits.c t/unit/spf_test.h t/lib/tap.c t/lib/tap.h
t_unit_spf_limits_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_spf_record_SOURCES = t/fuzz/spf_record.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_spf_record_LDADD = libsme.a $(SME_LIBS)
t_bench_spf_SOURCES = t/bench/spf.c
t_bench_spf_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/spf_record
t_fuzz_spf_record_SOURCES = t/fuzz/spf_record.c t/fuzz/fuzz.h
t_fuzz_spf_record_LDADD = libsme.a $(SME_LIBS)
t_fuzz_spf_record_LDFLAGS = -fsanitize=fuzzer
endif

bench_needs += t/bench/spf$(EXEEXT)
CLEANFILES += t/bench/spf$(EXEEXT)
