# t/unit/karma.mk - tests of the karma arithmetic, of karma files and of what `karma import` reads (also fuzzed).
check_PROGRAMS += t/unit/karma t/fuzz/replay-karma_import
TESTS += t/unit/karma t/fuzz/replay-karma_import

t_unit_karma_SOURCES = t/unit/karma.c milter/ctl/karma_lines.c milter/ctl/karma_lines.h t/lib/tap.c t/lib/tap.h
t_unit_karma_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_karma_import_SOURCES = \
	t/fuzz/karma_import.c milter/ctl/karma_lines.c milter/ctl/karma_lines.h t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c \
	t/lib/tap.h
t_fuzz_replay_karma_import_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/karma_import
t_fuzz_karma_import_SOURCES = t/fuzz/karma_import.c milter/ctl/karma_lines.c milter/ctl/karma_lines.h t/fuzz/fuzz.h
t_fuzz_karma_import_LDADD = libsme.a $(SME_LIBS)
t_fuzz_karma_import_LDFLAGS = -fsanitize=fuzzer
endif
