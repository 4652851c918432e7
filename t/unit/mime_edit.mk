# t/unit/mime_edit.mk - changes inside messages.
check_PROGRAMS += t/unit/mime_edit t/fuzz/replay-mime_edit
TESTS += t/unit/mime_edit t/fuzz/replay-mime_edit

t_unit_mime_edit_SOURCES = t/unit/mime_edit.c t/lib/tap.c t/lib/tap.h
t_unit_mime_edit_LDADD = libsme.a $(SME_LIBS)

t_fuzz_replay_mime_edit_SOURCES = t/fuzz/mime_edit.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_mime_edit_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/mime_edit
t_fuzz_mime_edit_SOURCES = t/fuzz/mime_edit.c t/fuzz/fuzz.h
t_fuzz_mime_edit_LDADD = libsme.a $(SME_LIBS)
t_fuzz_mime_edit_LDFLAGS = -fsanitize=fuzzer
endif
