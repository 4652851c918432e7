# t/unit/dmarc.mk - tests and fuzz targets of DMARC, ARC and Authentication-Results.
dmarc_tests = \
	t/unit/dmarc \
	t/unit/arc \
	t/unit/authres \
	t/fuzz/replay-dmarc_record \
	t/fuzz/replay-authres \
	t/fuzz/replay-arc

check_PROGRAMS += $(dmarc_tests)
TESTS += $(dmarc_tests)

t_unit_dmarc_SOURCES = t/unit/dmarc.c t/lib/tap.c t/lib/tap.h
t_unit_dmarc_LDADD = libsme.a $(SME_LIBS)
t_unit_arc_SOURCES = t/unit/arc.c t/lib/tap.c t/lib/tap.h
t_unit_arc_LDADD = libsme.a $(SME_LIBS)
t_unit_authres_SOURCES = t/unit/authres.c t/lib/tap.c t/lib/tap.h
t_unit_authres_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_dmarc_record_SOURCES = t/fuzz/dmarc_record.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_dmarc_record_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_authres_SOURCES = t/fuzz/authres.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_authres_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_arc_SOURCES = t/fuzz/arc.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_arc_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/dmarc_record t/fuzz/authres t/fuzz/arc
t_fuzz_dmarc_record_SOURCES = t/fuzz/dmarc_record.c t/fuzz/fuzz.h
t_fuzz_dmarc_record_LDADD = libsme.a $(SME_LIBS)
t_fuzz_dmarc_record_LDFLAGS = -fsanitize=fuzzer
t_fuzz_authres_SOURCES = t/fuzz/authres.c t/fuzz/fuzz.h
t_fuzz_authres_LDADD = libsme.a $(SME_LIBS)
t_fuzz_authres_LDFLAGS = -fsanitize=fuzzer
t_fuzz_arc_SOURCES = t/fuzz/arc.c t/fuzz/fuzz.h
t_fuzz_arc_LDADD = libsme.a $(SME_LIBS)
t_fuzz_arc_LDFLAGS = -fsanitize=fuzzer
endif
