# What runs with sanitizers. At night all unit tests that need no LibTorch run with both.
set(G2LL_ASAN_TESTS agent_test client_test scheduler_test server_test store_test stream_test)
# Threads: the store's, the streams' and the agent's.
set(G2LL_TSAN_TESTS agent_test store_test stream_test)
set(G2LL_FUZZERS list_filter page_token request yaml)
