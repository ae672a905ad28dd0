# SPDX-License-Identifier: Apache-2.0
# lm_public_headers(TARGET NAME HEADER...): makes TARGET the library
# lmserve::NAME of other projects, whose headers are the HEADERs, relative to the
# root of the project.
#
# Inside the project an include is "models/vocabulary.h". Other projects write
# "lmserve/models/vocabulary.h". For them a copy of each public header, in which
# the includes are changed accordingly, is written below LMSERVE_INCLUDE_DIR. So a
# folder with a common name, such as models/, does not get into their include path.
# The headers that protoc generates are copied at build time, by
# proto/CMakeLists.txt.
set(LMSERVE_INCLUDE_DIR ${PROJECT_BINARY_DIR}/include)
set(LMSERVE_FOLDERS "models|model_store|reranking|local|client|lm")

function(lm_export target name)
  add_library(lmserve::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${name} OUTPUT_NAME lmserve_${name})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${LMSERVE_INCLUDE_DIR}> $<INSTALL_INTERFACE:include>)
  set_property(GLOBAL APPEND PROPERTY LMSERVE_EXPORTS ${target})
endfunction()

function(lm_public_headers target name)
  lm_export(${target} ${name})
  set_property(GLOBAL APPEND PROPERTY LMSERVE_PUBLIC_HEADERS ${ARGN})
  get_property(public GLOBAL PROPERTY LMSERVE_PUBLIC_HEADERS)
  foreach(header ${ARGN})
    set(source ${PROJECT_SOURCE_DIR}/${header})
    set(copy ${LMSERVE_INCLUDE_DIR}/lmserve/${header})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(READ ${source} text)
    string(REGEX MATCHALL "#include \"(${LMSERVE_FOLDERS})/[^\"]*" includes
           "${text}")
    foreach(include ${includes})
      string(REPLACE "#include \"" "" include ${include})
      if(NOT include IN_LIST public AND NOT include MATCHES "^lm/")
        message(FATAL_ERROR
                "${header}, a public header, includes ${include}, which is not "
                "in the list of public headers")
      endif()
    endforeach()
    string(REGEX REPLACE "#include \"(${LMSERVE_FOLDERS})/"
           "#include \"lmserve/\\1/" text "${text}")
    set(old "")
    if(EXISTS ${copy})
      file(READ ${copy} old)
    endif()
    if(NOT "${old}" STREQUAL "${text}")
      file(WRITE ${copy} "${text}")
    endif()
  endforeach()
endfunction()
