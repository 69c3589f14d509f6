# SPDX-License-Identifier: Apache-2.0
# What make install puts where, but for the handlers (tcmu_add_handler).
include(CMakePackageConfigHelpers)

install(TARGETS tcmu-runner RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
target_include_directories(tcmu INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
install(TARGETS tcmu EXPORT tcmu-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES libtcmu.h tcmu-runner.h scsi_defs.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES docs/tcmu-runner.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES docs/tcmu-handler.3 docs/libtcmu.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)

foreach(pc libtcmu tcmu-runner)
	configure_file(cmake/${pc}.pc.in ${CMAKE_BINARY_DIR}/${pc}.pc @ONLY)
	install(FILES ${CMAKE_BINARY_DIR}/${pc}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tcmu)
install(EXPORT tcmu-targets NAMESPACE tcmu:: DESTINATION ${package_dir})
configure_package_config_file(cmake/tcmu-config.cmake.in ${CMAKE_BINARY_DIR}/tcmu-config.cmake
	INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/tcmu-config-version.cmake
	COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/tcmu-config.cmake ${CMAKE_BINARY_DIR}/tcmu-config-version.cmake
	DESTINATION ${package_dir})

# The administrator's configuration is not overwritten.
configure_file(tcmu.conf.in ${CMAKE_BINARY_DIR}/tcmu.conf @ONLY)
install(CODE "
	set(dir \"${CMAKE_INSTALL_FULL_SYSCONFDIR}/tcmu\")
	if(NOT CMAKE_INSTALL_PREFIX STREQUAL \"${CMAKE_INSTALL_PREFIX}\") # cmake --install --prefix
		set(dir \"\${CMAKE_INSTALL_PREFIX}/etc/tcmu\")
	endif()
	if(EXISTS \"\$ENV{DESTDIR}\${dir}/tcmu.conf\")
		message(STATUS \"Left as it is: \$ENV{DESTDIR}\${dir}/tcmu.conf\")
	else()
		file(INSTALL DESTINATION \"\${dir}\" TYPE FILE FILES \"${CMAKE_BINARY_DIR}/tcmu.conf\")
	endif()")
