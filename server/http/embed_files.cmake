# SPDX-License-Identifier: Apache-2.0
enable_language(ASM)
find_program(LMSERVE_GZIP gzip)

# lm_embed_files(FUNCTION FOLDER NAME...): puts files of a folder into
# lm_server_library, as they are and, if the program gzip exists, compressed, as the
# result of FUNCTION(), which server/http/asset.h declares: an assembler file
# includes their bytes, and a source has the table of them.
function(lm_embed_files function folder)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${function})
  set(bytes "    .section .rodata\n")
  set(symbols "")
  set(rows "")
  set(inputs)
  foreach(name IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER "lmserve_${function}_${name}" symbol)
    set(forms "${symbol}=${folder}/${name}")
    set(gzip "{}")
    if(LMSERVE_GZIP)
      add_custom_command(
        OUTPUT ${output}/${name}.gz
        COMMAND ${CMAKE_COMMAND} -E make_directory ${output}
        COMMAND ${LMSERVE_GZIP} -9nc ${folder}/${name} > ${output}/${name}.gz
        DEPENDS ${folder}/${name} VERBATIM)
      list(APPEND forms "${symbol}_gz=${output}/${name}.gz")
      set(gzip "{${symbol}_gz, size_t(${symbol}_gz_end - ${symbol}_gz)}")
    endif()
    foreach(form IN LISTS forms)
      string(REGEX MATCH "^([^=]*)=(.*)$" form "${form}")
      string(APPEND bytes
        "    .globl ${CMAKE_MATCH_1}, ${CMAKE_MATCH_1}_end\n${CMAKE_MATCH_1}:\n"
        "    .incbin \"${CMAKE_MATCH_2}\"\n${CMAKE_MATCH_1}_end:\n    .byte 0\n")
      string(APPEND symbols
        "extern const char ${CMAKE_MATCH_1}[], ${CMAKE_MATCH_1}_end[];\n")
      list(APPEND inputs ${CMAKE_MATCH_2})
    endforeach()
    string(APPEND rows
      "      {\"${name}\", {${symbol}, size_t(${symbol}_end - ${symbol})}, ${gzip}},\n")
  endforeach()

  set(sources ${output}/files.cc)
  if(rows)
    string(APPEND bytes "    .section .note.GNU-stack,\"\",%progbits\n")
    file(CONFIGURE OUTPUT ${output}/bytes.S CONTENT "${bytes}")
    set_source_files_properties(${output}/bytes.S PROPERTIES
      OBJECT_DEPENDS "${inputs}")
    list(APPEND sources ${output}/bytes.S)
    set(result "  static const EmbeddedFile files[] = {\n${rows}  };\n  return files;\n")
  else()
    set(result "  return {};\n")
  endif()
  file(CONFIGURE OUTPUT ${output}/files.cc CONTENT
"#include \"server/http/asset.h\"

extern \"C\" {
${symbols}}

namespace lmserve {

absl::Span<const EmbeddedFile> ${function}() {
${result}}

}  // namespace lmserve
")
  set_source_files_properties(${sources} PROPERTIES
    SKIP_PRECOMPILE_HEADERS ON SKIP_UNITY_BUILD_INCLUSION ON)
  target_sources(lm_server_library PRIVATE ${sources})
endfunction()

set(page_names)
if(LMSERVE_PAGE)
  set(page_folder ${CMAKE_CURRENT_LIST_DIR}/page)
  file(GLOB page_names RELATIVE ${page_folder} CONFIGURE_DEPENDS
       ${page_folder}/*.html ${page_folder}/*.css ${page_folder}/*.js
       ${page_folder}/*.svg)
  list(SORT page_names)
endif()
lm_embed_files(PageFiles ${CMAKE_CURRENT_LIST_DIR}/page ${page_names})
lm_embed_files(OpenApiFiles ${CMAKE_CURRENT_LIST_DIR}/openapi openapi.json)
