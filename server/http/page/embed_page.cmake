# SPDX-License-Identifier: Apache-2.0
#
# Puts the files of this folder into lm_server_library, as they are and, if the
# program gzip exists, compressed: an assembler file includes their bytes, and
# page_files.cc has the table of them that server/http/page.h declares.
set(page_folder ${CMAKE_CURRENT_LIST_DIR})
set(page_output ${CMAKE_CURRENT_BINARY_DIR}/page)
set(page_names)
if(LMSERVE_PAGE)
  file(GLOB page_names RELATIVE ${page_folder} CONFIGURE_DEPENDS
       ${page_folder}/*.html ${page_folder}/*.css ${page_folder}/*.js
       ${page_folder}/*.svg)
  list(SORT page_names)
  enable_language(ASM)
  find_program(LMSERVE_GZIP gzip)
endif()

set(page_bytes "    .section .rodata\n")
set(page_symbols "")
set(page_rows "")
set(page_inputs)

# Appends the bytes of a file to the assembler file.
macro(lm_embed_bytes symbol path)
  string(APPEND page_bytes
    "    .globl ${symbol}, ${symbol}_end\n${symbol}:\n"
    "    .incbin \"${path}\"\n${symbol}_end:\n    .byte 0\n")
  string(APPEND page_symbols
    "extern const char ${symbol}[], ${symbol}_end[];\n")
  list(APPEND page_inputs ${path})
endmacro()

foreach(name IN LISTS page_names)
  string(MAKE_C_IDENTIFIER "lmserve_page_${name}" symbol)
  lm_embed_bytes(${symbol} ${page_folder}/${name})
  set(page_gzip "{}")
  if(LMSERVE_GZIP)
    add_custom_command(
      OUTPUT ${page_output}/${name}.gz
      COMMAND ${LMSERVE_GZIP} -9nc ${page_folder}/${name} > ${page_output}/${name}.gz
      DEPENDS ${page_folder}/${name} VERBATIM)
    lm_embed_bytes(${symbol}_gz ${page_output}/${name}.gz)
    set(page_gzip "{${symbol}_gz, size_t(${symbol}_gz_end - ${symbol}_gz)}")
  endif()
  string(APPEND page_rows
    "      {\"${name}\", {${symbol}, size_t(${symbol}_end - ${symbol})}, ${page_gzip}},\n")
endforeach()

if(page_names)
  string(APPEND page_bytes "    .section .note.GNU-stack,\"\",%progbits\n")
  file(CONFIGURE OUTPUT ${page_output}/page_bytes.S CONTENT "${page_bytes}")
  set_source_files_properties(${page_output}/page_bytes.S PROPERTIES
    OBJECT_DEPENDS "${page_inputs}")
  target_sources(lm_server_library PRIVATE ${page_output}/page_bytes.S)
  set(page_result "  static const PageFile files[] = {\n${page_rows}  };\n  return files;\n")
else()
  set(page_result "  return {};\n")
endif()
file(CONFIGURE OUTPUT ${page_output}/page_files.cc CONTENT
"#include \"server/http/page.h\"

extern \"C\" {
${page_symbols}}

namespace lmserve {

absl::Span<const PageFile> PageFiles() {
${page_result}}

}  // namespace lmserve
")
set_source_files_properties(${page_output}/page_files.cc PROPERTIES
  SKIP_PRECOMPILE_HEADERS ON SKIP_UNITY_BUILD_INCLUSION ON)
set_source_files_properties(${page_output}/page_bytes.S PROPERTIES
  SKIP_PRECOMPILE_HEADERS ON SKIP_UNITY_BUILD_INCLUSION ON)
target_sources(lm_server_library PRIVATE ${page_output}/page_files.cc)
