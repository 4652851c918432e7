# The benchmark (`make bench`), the filter it is measured against, and the broken peer of t/e2e/peer.t.
EXTRA_PROGRAMS += t/bench/bench t/bench/noop
check_PROGRAMS += t/lib/hostile

t_bench_bench_SOURCES = t/bench/bench.c t/bench/tree.c t/bench/tree.h t/lib/wire.c t/lib/wire.h
t_bench_noop_SOURCES = t/bench/noop.c
t_bench_noop_LDADD = $(MILTER_LIBS)
t_lib_hostile_SOURCES = \
	t/lib/hostile.c t/lib/hostile.h t/lib/hostile_floods.c t/lib/hostile_frames.c t/lib/wire.c t/lib/wire.h

EXTRA_DIST += t/bench/README t/bench/run
CLEANFILES += t/bench/bench$(EXEEXT) t/bench/noop$(EXEEXT)

.PHONY: bench
bench: sme-milter t/bench/bench t/bench/noop $(bench_needs)
	SME_BUILD='$(abs_top_builddir)' $(srcdir)/t/bench/run $(BENCH_FLAGS)
