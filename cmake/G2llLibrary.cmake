# Helpers that every folder uses: one library per layer, one way to make a
# program, one way to make a test.

add_library(g2ll_warnings INTERFACE)
target_compile_options(
  g2ll_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wno-sign-conversion -Werror=switch
                          $<$<BOOL:${G2LL_WERROR}>:-Werror>)

# The precompiled torch/torch.h: 60 s once, then 5-10 s a file instead of 45.
if(G2LL_TORCH)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/torch_pch.cc CONTENT
       "// Exists so that the precompiled header has a target to live in.\n")
  add_library(g2ll_torch_pch STATIC ${CMAKE_BINARY_DIR}/torch_pch.cc)
  target_link_libraries(g2ll_torch_pch PUBLIC LibTorch::cpu g2ll_warnings)
  target_precompile_headers(g2ll_torch_pch PRIVATE <torch/torch.h>)
  target_compile_options(g2ll_torch_pch PRIVATE -Werror=invalid-pch)
endif()

function(_g2ll_common TARGET TORCH)
  target_include_directories(${TARGET} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(${TARGET} PRIVATE g2ll_warnings)
  if(TORCH)
    target_link_libraries(${TARGET} PUBLIC LibTorch::cpu)
    target_precompile_headers(${TARGET} REUSE_FROM g2ll_torch_pch)
    target_compile_options(${TARGET} PRIVATE -Werror=invalid-pch)
    set_target_properties(${TARGET} PROPERTIES BUILD_RPATH "${LibTorch_RPATH}")
  endif()
endfunction()

# g2ll_library(NAME server_store SRCS a.cc DEPS g2ll::server_cluster [PRIVATE_DEPS x] [TORCH])
# Makes the static library g2ll_server_store with the alias g2ll::server_store.
# DEPS are what its headers need, PRIVATE_DEPS what only its sources need.
# TORCH: compiled over the precompiled torch header and linked with LibTorch.
function(g2ll_library)
  cmake_parse_arguments(ARG "TORCH" "NAME" "SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  if(ARG_SRCS)
    add_library(g2ll_${ARG_NAME} STATIC ${ARG_SRCS})
    target_link_libraries(g2ll_${ARG_NAME} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
    _g2ll_common(g2ll_${ARG_NAME} "${ARG_TORCH}")
  else()
    add_library(g2ll_${ARG_NAME} INTERFACE)
    target_include_directories(g2ll_${ARG_NAME} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(g2ll_${ARG_NAME} INTERFACE ${ARG_DEPS})
  endif()
  add_library(g2ll::${ARG_NAME} ALIAS g2ll_${ARG_NAME})
endfunction()

# g2ll_program(NAME g2ll-worker SRCS agent_main.cc DEPS g2ll::worker_agent [TORCH])
function(g2ll_program)
  cmake_parse_arguments(ARG "TORCH" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} g2ll_sanitizer)
  target_compile_definitions(${ARG_NAME} PRIVATE G2LL_VERSION="${PROJECT_VERSION}")
  _g2ll_common(${ARG_NAME} "${ARG_TORCH}")
endfunction()

# g2ll_test(NAME server_test SRCS a_test.cc DEPS g2ll::server_store LABELS unit [TORCH]
#           [ENVIRONMENT A=b])
# One GoogleTest binary; every TEST in it becomes a ctest test with these labels.
function(g2ll_test)
  cmake_parse_arguments(ARG "TORCH;SERIAL" "NAME;TIMEOUT" "SRCS;DEPS;LABELS;ENVIRONMENT" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main
                                            g2ll_sanitizer)
  if("unit" IN_LIST ARG_LABELS AND NOT ARG_TORCH AND NOT G2LL_BESIDE_TORCH)
    set_property(GLOBAL APPEND PROPERTY G2LL_SANITIZABLE_TESTS ${ARG_NAME})
  endif()
  _g2ll_common(${ARG_NAME} "${ARG_TORCH}")
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  include(GoogleTest)
  # Without "pretty" values, which are the addresses in a parameter and differ from
  # run to run.
  gtest_discover_tests(
    ${ARG_NAME} NO_PRETTY_VALUES
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
               ENVIRONMENT "${ARG_ENVIRONMENT}")
endfunction()
