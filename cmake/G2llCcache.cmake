# Compiles through ccache where it is installed. The sloppiness settings are what
# makes translation units over a precompiled header cacheable.
option(G2LL_CCACHE "Compile through ccache where it is installed" ON)
find_program(G2LL_CCACHE_PROGRAM ccache)
if(G2LL_CCACHE AND G2LL_CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      ${G2LL_CCACHE_PROGRAM})
endif()
