# t/unit/journal.mk - tests of the journal, and rows for the end-to-end tests of what reads it.
journal_tests = t/unit/journal t/unit/journal_trouble
check_PROGRAMS += $(journal_tests) t/fuzz/replay-journal
TESTS += $(journal_tests) t/fuzz/replay-journal
journal_test = t/unit/journal_test.c t/unit/journal_test.h t/lib/tap.c t/lib/tap.h

t_unit_journal_SOURCES = t/unit/journal.c $(journal_test)
t_unit_journal_LDADD = libsme.a $(SME_LIBS)
t_unit_journal_trouble_SOURCES = t/unit/journal_trouble.c $(journal_test)
t_unit_journal_trouble_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_journal_SOURCES = t/fuzz/journal.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_journal_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/journal
t_fuzz_journal_SOURCES = t/fuzz/journal.c t/fuzz/fuzz.h
t_fuzz_journal_LDADD = libsme.a $(SME_LIBS)
t_fuzz_journal_LDFLAGS = -fsanitize=fuzzer
endif

# A journal with many rows, for t/e2e/summary.t.
check_PROGRAMS += t/lib/journal_rows
t_lib_journal_rows_SOURCES = t/lib/journal_rows.c t/lib/tap.c t/lib/tap.h
t_lib_journal_rows_LDADD = libsme.a $(SME_LIBS)
