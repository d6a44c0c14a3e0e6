# LibTorch out of the PyPI wheel `torch`, as deploy/install_deps.sh unpacks it:
# headers and shared libraries only, no Python. TorchConfig.cmake inside the wheel
# insists on a CUDA toolkit, so the targets are made here.
#
# Targets:
#   LibTorch::cpu   libtorch_cpu and libc10, with c10d and Gloo
#   LibTorch::cuda  libtorch_cuda and libc10_cuda on top; only for the NCCL plugin
# Variables: LibTorch_ROOT, LibTorch_LIB_DIR, LibTorch_RPATH.

# The folder's name is the digest of the list of pins, so that checkouts with
# different pins can share one machine; install_deps.sh computes the same.
file(STRINGS ${CMAKE_SOURCE_DIR}/deploy/deps/wheels.txt _pins REGEX "==")
string(JOIN "\n" _pins_text ${_pins})
string(SHA256 _digest "${_pins_text}\n")
string(SUBSTRING ${_digest} 0 16 _digest)
if(DEFINED ENV{G2LL_DEPS})
  set(_deps $ENV{G2LL_DEPS})
else()
  set(_deps $ENV{HOME}/.cache/g2ll)
endif()
set(LibTorch_ROOT ${_deps}/${_digest})
set(_torch ${LibTorch_ROOT}/torch)
set(LibTorch_LIB_DIR ${_torch}/lib)

include(FindPackageHandleStandardArgs)
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${LibTorch_LIB_DIR} NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 PATHS ${LibTorch_LIB_DIR} NO_DEFAULT_PATH)
find_path(LibTorch_GLOO_INCLUDE gloo/context.h
          PATHS ${LibTorch_ROOT}/gloo/usr/include NO_DEFAULT_PATH)
find_package_handle_standard_args(
  LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_GLOO_INCLUDE
  REASON_FAILURE_MESSAGE "not in ${LibTorch_ROOT}: run deploy/install_deps.sh")
if(NOT LibTorch_FOUND)
  return()
endif()
find_path(LibTorch_CUDART_INCLUDE cuda_runtime_api.h
          PATHS ${LibTorch_ROOT}/nvidia/cu13/include NO_DEFAULT_PATH)
set(LibTorch_RPATH ${LibTorch_LIB_DIR} ${LibTorch_ROOT}/nvidia/cu13/lib)

# The wheel carries an old google/protobuf and its own fmt: a folder of links to
# everything else lets Debian's protobuf and torch meet in one translation unit.
set(LibTorch_INCLUDE_DIR ${CMAKE_BINARY_DIR}/libtorch-include)
file(MAKE_DIRECTORY ${LibTorch_INCLUDE_DIR})
file(GLOB _entries RELATIVE ${_torch}/include ${_torch}/include/*)
foreach(_entry ${_entries})
  if(NOT _entry MATCHES "^(google|fmt|pybind11)$")
    file(CREATE_LINK ${_torch}/include/${_entry} ${LibTorch_INCLUDE_DIR}/${_entry} SYMBOLIC)
  endif()
endforeach()

if(NOT TARGET LibTorch::cpu)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION ${LibTorch_C10_LIBRARY})
  add_library(LibTorch::cpu SHARED IMPORTED)
  set_target_properties(
    LibTorch::cpu
    PROPERTIES IMPORTED_LOCATION ${LibTorch_CPU_LIBRARY}
               INTERFACE_LINK_LIBRARIES LibTorch::c10)
  target_include_directories(
    LibTorch::cpu SYSTEM
    INTERFACE ${LibTorch_INCLUDE_DIR} ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include
              ${LibTorch_GLOO_INCLUDE})
  target_compile_definitions(LibTorch::cpu INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
  target_link_options(LibTorch::cpu INTERFACE
                      -Wl,-rpath-link,${LibTorch_ROOT}/nvidia/cu13/lib)
endif()
