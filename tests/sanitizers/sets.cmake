# What runs with sanitizers. All else that needs no LibTorch runs with both at night.
set(G2LL_ASAN_TESTS agent_test client_test server_test)
set(G2LL_TSAN_TESTS agent_test server_test)
# The threaded tests of the store and of the streams.
set(G2LL_TSAN_FILTER_server_test "*Store*:*Api*:*Hub*:*Stream*")
set(G2LL_FUZZERS list_filter page_token request yaml)
