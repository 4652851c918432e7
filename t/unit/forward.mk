# t/unit/forward.mk - tests of the questions to inner mail servers, with servers of their own on loopback; and the
# replies of those, fuzzed.
check_PROGRAMS += t/unit/forward t/fuzz/replay-smtp_reply
TESTS += t/unit/forward t/fuzz/replay-smtp_reply

t_unit_forward_SOURCES = t/unit/forward.c t/lib/tap.c t/lib/tap.h
t_unit_forward_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_smtp_reply_SOURCES = t/fuzz/smtp_reply.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_smtp_reply_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/smtp_reply
t_fuzz_smtp_reply_SOURCES = t/fuzz/smtp_reply.c t/fuzz/fuzz.h
t_fuzz_smtp_reply_LDADD = libsme.a $(SME_LIBS)
t_fuzz_smtp_reply_LDFLAGS = -fsanitize=fuzzer
endif
