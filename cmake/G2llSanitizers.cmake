# Presets asan-ubsan and tsan. g2ll_sanitizer is linked into every program and is
# empty elsewhere.
option(G2LL_FUZZ "Build the fuzzers, which need clang and its sanitizers" OFF)
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=")
  set(G2LL_SANITIZED ON)
endif()

add_library(g2ll_sanitizer INTERFACE)
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=thread")
  add_library(g2ll_absl_mutex OBJECT ${CMAKE_SOURCE_DIR}/tests/sanitizers/absl_mutex.cc)
  target_link_libraries(g2ll_absl_mutex PRIVATE absl::synchronization absl::time)
  target_sources(g2ll_sanitizer INTERFACE $<TARGET_OBJECTS:g2ll_absl_mutex>)
  target_link_libraries(g2ll_sanitizer INTERFACE absl::synchronization absl::time ${CMAKE_DL_LIBS})
endif()
