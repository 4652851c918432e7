# t/unit/scan.mk - tests of conversations with local services and of the scanners, with services of their own on
# loopback; and the replies of those, fuzzed.
check_PROGRAMS += t/unit/talk t/unit/scan t/unit/mapped t/fuzz/replay-clamd_reply t/fuzz/replay-spamd_reply
TESTS += t/unit/talk t/unit/scan t/unit/mapped t/fuzz/replay-clamd_reply t/fuzz/replay-spamd_reply

t_unit_talk_SOURCES = t/unit/talk.c t/lib/tap.c t/lib/tap.h
t_unit_talk_LDADD = libsme.a $(SME_LIBS)
t_unit_mapped_SOURCES = t/unit/mapped.c t/lib/tap.c t/lib/tap.h
t_unit_mapped_LDADD = libsme.a $(SME_LIBS)
t_unit_scan_SOURCES = t/unit/scan.c t/lib/tap.c t/lib/tap.h
t_unit_scan_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_clamd_reply_SOURCES = t/fuzz/clamd_reply.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_clamd_reply_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_spamd_reply_SOURCES = t/fuzz/spamd_reply.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_spamd_reply_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/clamd_reply t/fuzz/spamd_reply
t_fuzz_clamd_reply_SOURCES = t/fuzz/clamd_reply.c t/fuzz/fuzz.h
t_fuzz_clamd_reply_LDADD = libsme.a $(SME_LIBS)
t_fuzz_clamd_reply_LDFLAGS = -fsanitize=fuzzer
t_fuzz_spamd_reply_SOURCES = t/fuzz/spamd_reply.c t/fuzz/fuzz.h
t_fuzz_spamd_reply_LDADD = libsme.a $(SME_LIBS)
t_fuzz_spamd_reply_LDFLAGS = -fsanitize=fuzzer
endif
