# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` installs: the programs, the libraries with their public
# headers, and the package that find_package(lmserve) finds.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

foreach(program lm_client lm_server lm_store lm_trainer)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()

get_property(libraries GLOBAL PROPERTY LMSERVE_EXPORTS)
install(TARGETS ${libraries} EXPORT lmserveTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
get_property(headers GLOBAL PROPERTY LMSERVE_PUBLIC_HEADERS)
foreach(header ${headers})
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${LMSERVE_INCLUDE_DIR}/lmserve/${header}
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lmserve/${folder})
endforeach()

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/lmserve)
install(EXPORT lmserveTargets NAMESPACE lmserve:: DESTINATION ${package})
configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/lmserveConfig.cmake.in
  ${PROJECT_BINARY_DIR}/lmserveConfig.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/lmserveConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lmserveConfig.cmake
              ${PROJECT_BINARY_DIR}/lmserveConfigVersion.cmake
        DESTINATION ${package})
