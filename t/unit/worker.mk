# t/unit/worker.mk - the worker: its side in the daemon, the program itself, and their tests. PKGLIBEXECDIR is told by
# Makefile.am. The test daemon looks for the program beside itself, so there is a second one.
libsme_a_SOURCES += \
	milter/worker.c milter/worker.h milter/worker_files.c milter/worker_files.h milter/worker_frame.c \
	milter/worker_frame.h milter/worker_inside.h milter/worker_job.c milter/worker_rtf.c milter/worker_scan.c milter/worker_spawn.c \
	milter/worker_tnef.c milter/worker_tnef.h

WORKER_LIBS = $(CLAMAV_LIBS) $(YTNEF_LIBS) $(SECCOMP_LIBS)
worker_server_sources = milter/worker_sandbox.c milter/worker_sandbox.h milter/worker_server.c milter/worker_server.h
worker_sources = milter/worker_main.c $(worker_server_sources) milter/scan/libclamav.c milter/scan/tnef_decode.c

pkglibexec_PROGRAMS = sme-milter-worker
sme_milter_worker_SOURCES = $(worker_sources)
sme_milter_worker_CFLAGS = $(AM_CFLAGS) $(CLAMAV_CFLAGS) $(YTNEF_CFLAGS) $(SECCOMP_CFLAGS)
sme_milter_worker_LDADD = libsme.a $(WORKER_LIBS) $(SME_LIBS)

check_PROGRAMS += t/lib/sme-milter-worker t/lib/without_landlock t/unit/worker t/unit/worker_by_root t/fuzz/replay-worker_frame t/fuzz/replay-tnef
TESTS += t/unit/worker t/unit/worker_by_root t/fuzz/replay-worker_frame t/fuzz/replay-tnef
EXTRA_DIST += t/lib/tnef.py

t_lib_sme_milter_worker_SOURCES = $(worker_sources)
t_lib_sme_milter_worker_CFLAGS = $(sme_milter_worker_CFLAGS)
t_lib_sme_milter_worker_LDADD = $(sme_milter_worker_LDADD)

t_unit_worker_SOURCES = t/unit/worker.c $(worker_server_sources) t/lib/tap.c t/lib/tap.h t/lib/without_landlock.h
t_unit_worker_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS)
t_unit_worker_LDADD = libsme.a $(SECCOMP_LIBS) $(SME_LIBS)

# The same on a kernel without Landlock.
t_unit_worker_by_root_SOURCES = $(t_unit_worker_SOURCES)
t_unit_worker_by_root_CFLAGS = $(t_unit_worker_CFLAGS) -DWITHOUT_LANDLOCK
t_unit_worker_by_root_LDADD = $(t_unit_worker_LDADD)
t_lib_without_landlock_SOURCES = t/lib/without_landlock.c t/lib/without_landlock.h

t_fuzz_replay_worker_frame_SOURCES = t/fuzz/worker_frame.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_worker_frame_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_tnef_SOURCES = t/fuzz/tnef.c milter/scan/tnef_decode.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_tnef_CFLAGS = $(AM_CFLAGS) $(YTNEF_CFLAGS)
t_fuzz_replay_tnef_LDADD = libsme.a $(YTNEF_LIBS) $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/worker_frame t/fuzz/tnef
t_fuzz_worker_frame_SOURCES = t/fuzz/worker_frame.c t/fuzz/fuzz.h
t_fuzz_worker_frame_LDADD = libsme.a $(SME_LIBS)
t_fuzz_worker_frame_LDFLAGS = -fsanitize=fuzzer
t_fuzz_tnef_SOURCES = t/fuzz/tnef.c milter/scan/tnef_decode.c t/fuzz/fuzz.h
t_fuzz_tnef_CFLAGS = $(AM_CFLAGS) $(YTNEF_CFLAGS)
t_fuzz_tnef_LDADD = libsme.a $(YTNEF_LIBS) $(SME_LIBS)
t_fuzz_tnef_LDFLAGS = -fsanitize=fuzzer
endif
