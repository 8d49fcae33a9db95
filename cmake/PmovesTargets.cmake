# One target per folder, with its dependencies in sight.
#
#   pmoves_library(publisher_core SRCS a.cc b.cc DEPS pmoves::proto)   -> target publisher_core, alias pmoves::publisher_core
#   pmoves_program(pmoves-sync-publisher SRCS main.cc DEPS pmoves::publisher)
#   pmoves_test(a_test SRCS a_test.cc DEPS pmoves::publisher_core [LABELS unit])

option(PMOVES_WERROR "Warnings are errors" ON)
option(PMOVES_PRECOMPILED "Precompile common/base/precompiled.h (the presets do)" OFF)

add_library(pmoves_flags INTERFACE)
target_compile_options(pmoves_flags INTERFACE -Wall -Wextra -Wpedantic -Wnon-virtual-dtor -Woverloaded-virtual
  -Wshadow $<$<BOOL:${PMOVES_WERROR}>:-Werror> $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)  # g++ 12 sees overlaps in std::string's operator+ that are not there (GCC bug 105651), at -O3
if(PMOVES_PRECOMPILED)
  # For ccache; and g++ 12 loses sight of what is a system header behind it, so its bounds warnings inside std::string come through (same bug 105651).
  target_compile_options(pmoves_flags INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess;-Wno-array-bounds;-Wno-stringop-overflow;-Wno-stringop-overread>)
endif()
target_include_directories(pmoves_flags INTERFACE ${PROJECT_SOURCE_DIR})

# The first library that is declared (base) compiles the precompiled header; all others use it.
function(pmoves_precompiled name)
  if(NOT PMOVES_PRECOMPILED)
    return()
  endif()
  if(name STREQUAL "base")
    target_precompile_headers(base PRIVATE ${PROJECT_SOURCE_DIR}/common/base/precompiled.h)
  else()
    target_precompile_headers(${name} REUSE_FROM base)
  endif()
endfunction()

function(pmoves_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SRCS})
  add_library(pmoves::${name} ALIAS ${name})
  target_link_libraries(${name} PUBLIC pmoves_flags ${ARG_DEPS})
  pmoves_precompiled(${name})
endfunction()

function(pmoves_program name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_link_libraries(${name} PRIVATE pmoves_flags ${ARG_DEPS})
  pmoves_precompiled(${name})
endfunction()

function(pmoves_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SRCS;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_link_libraries(${name} PRIVATE pmoves_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  pmoves_precompiled(${name})
  # Tests wait for servers, not for themselves: a quarter less to compile. (-O0 cannot use the precompiled header.)
  target_compile_options(${name} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1>)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
