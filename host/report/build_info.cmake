# Writes OUT with the state of the git repository SOURCE, only when it differs from what is there, so
# that a build without a new commit compiles nothing again. Run by every build (target
# mb_build_info): cmake -DSOURCE= -DOUT= -DVERSION= -DCOMPILER= -DFLAGS= -DTYPE= -P build_info.cmake
set(sha unknown)
set(dirty 0)
find_program(GIT git)
if(GIT)
  execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --show-prefix HEAD
                  OUTPUT_VARIABLE answer RESULT_VARIABLE failed ERROR_QUIET
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
  # An empty prefix: SOURCE is the top of the repository, not a folder inside somebody else's.
  if(NOT failed AND answer MATCHES "^\n?([0-9a-f]+)$")
    set(sha ${CMAKE_MATCH_1})
    execute_process(COMMAND ${GIT} -C ${SOURCE} diff --quiet HEAD -- RESULT_VARIABLE differs
                    OUTPUT_QUIET ERROR_QUIET)
    if(differs)
      set(dirty 1)
    endif()
  endif()
endif()
string(REPLACE "\"" "\\\"" FLAGS "${FLAGS}")
string(CONCAT text
  "#define MB_BUILD_VERSION   \"${VERSION}\"\n"
  "#define MB_BUILD_GIT_SHA   \"${sha}\"\n"
  "#define MB_BUILD_GIT_DIRTY ${dirty}\n"
  "#define MB_BUILD_COMPILER  \"${COMPILER}\"\n"
  "#define MB_BUILD_FLAGS     \"${FLAGS}\"\n"
  "#define MB_BUILD_TYPE      \"${TYPE}\"\n")
set(old "")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUT} "${text}")
endif()
