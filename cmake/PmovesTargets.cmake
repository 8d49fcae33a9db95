# One target per folder, with its dependencies in sight.
#
#   pmoves_library(publisher_core SRCS a.cc b.cc DEPS pmoves::proto)   -> target publisher_core, alias pmoves::publisher_core
#   pmoves_program(pmoves-sync-publisher SRCS main.cc DEPS pmoves::publisher)
#   pmoves_test(a_test SRCS a_test.cc DEPS pmoves::publisher_core [LABELS unit])

option(PMOVES_WERROR "Warnings are errors" ON)

add_library(pmoves_flags INTERFACE)
target_compile_options(pmoves_flags INTERFACE -Wall -Wextra -Wpedantic -Wnon-virtual-dtor -Woverloaded-virtual
  -Wshadow $<$<BOOL:${PMOVES_WERROR}>:-Werror> $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)  # g++ 12 sees overlaps in std::string's operator+ that are not there (GCC bug 105651), at -O3
target_include_directories(pmoves_flags INTERFACE ${PROJECT_SOURCE_DIR})

function(pmoves_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SRCS})
  add_library(pmoves::${name} ALIAS ${name})
  target_link_libraries(${name} PUBLIC pmoves_flags ${ARG_DEPS})
endfunction()

function(pmoves_program name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_link_libraries(${name} PRIVATE pmoves_flags ${ARG_DEPS})
endfunction()

function(pmoves_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SRCS;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_link_libraries(${name} PRIVATE pmoves_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
