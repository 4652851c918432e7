# t/unit/dns.mk - tests of milter/dns, their fuzz targets, dnsq for t/e2e/resolver.t, and the benchmark.
dns_tests = \
	t/unit/dns_packet \
	t/unit/dns_cache \
	t/unit/dns_scripted \
	t/unit/dns_resolver \
	t/unit/dns_idn \
	t/unit/dns_opinion \
	t/fuzz/replay-dns_packet \
	t/fuzz/replay-dns_script

check_PROGRAMS += $(dns_tests) t/lib/dnsq
TESTS += $(dns_tests)
EXTRA_PROGRAMS += t/bench/dns

t_unit_dns_packet_SOURCES = t/unit/dns_packet.c t/lib/tap.c t/lib/tap.h
t_unit_dns_packet_LDADD = libsme.a $(SME_LIBS)
t_unit_dns_cache_SOURCES = t/unit/dns_cache.c t/lib/tap.c t/lib/tap.h
t_unit_dns_cache_LDADD = libsme.a $(SME_LIBS)
t_unit_dns_scripted_SOURCES = t/unit/dns_scripted.c t/lib/tap.c t/lib/tap.h
t_unit_dns_scripted_LDADD = libsme.a $(SME_LIBS)
t_unit_dns_idn_SOURCES = t/unit/dns_idn.c t/lib/tap.c t/lib/tap.h
t_unit_dns_idn_LDADD = libsme.a $(SME_LIBS)
t_unit_dns_opinion_SOURCES = t/unit/dns_opinion.c t/lib/tap.c t/lib/tap.h
t_unit_dns_opinion_LDADD = libsme.a $(SME_LIBS)
t_unit_dns_resolver_SOURCES = t/unit/dns_resolver.c t/lib/tap.c t/lib/tap.h
t_unit_dns_resolver_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_dns_packet_SOURCES = t/fuzz/dns_packet.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_dns_packet_LDADD = libsme.a $(SME_LIBS)
t_fuzz_replay_dns_script_SOURCES = t/fuzz/dns_script.c t/fuzz/replay.c t/fuzz/fuzz.h t/lib/tap.c t/lib/tap.h
t_fuzz_replay_dns_script_LDADD = libsme.a $(SME_LIBS)
t_lib_dnsq_SOURCES = t/lib/dnsq.c
t_lib_dnsq_LDADD = libsme.a $(SME_LIBS)
t_bench_dns_SOURCES = t/bench/dns.c
t_bench_dns_LDADD = libsme.a $(SME_LIBS)

if FUZZERS
noinst_PROGRAMS += t/fuzz/dns_packet t/fuzz/dns_script
t_fuzz_dns_packet_SOURCES = t/fuzz/dns_packet.c t/fuzz/fuzz.h
t_fuzz_dns_packet_LDADD = libsme.a $(SME_LIBS)
t_fuzz_dns_packet_LDFLAGS = -fsanitize=fuzzer
t_fuzz_dns_script_SOURCES = t/fuzz/dns_script.c t/fuzz/fuzz.h
t_fuzz_dns_script_LDADD = libsme.a $(SME_LIBS)
t_fuzz_dns_script_LDFLAGS = -fsanitize=fuzzer
endif

EXTRA_DIST += t/e2e/resolver.t t/lib/dnsd.py
CLEANFILES += t/bench/dns$(EXEEXT)
