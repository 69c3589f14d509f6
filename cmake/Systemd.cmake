# SPDX-License-Identifier: Apache-2.0
# The unit, and the file by which the bus starts it. systemd looks below /usr and /usr/local for both, so they
# follow the prefix; an absolute path is what a distribution may want.
set(TCMU_UNIT_DIR "lib/systemd/system" CACHE STRING "Where tcmu-runner.service is installed, below the prefix or absolute")
set(TCMU_DBUS_UNIT "")
# The unit waits to be told that the daemon is ready, which takes libsystemd.
if(SYSTEMD_FOUND)
	set(TCMU_DBUS_UNIT "SystemdService=tcmu-runner.service")
	configure_file(tcmu-runner.service.in ${CMAKE_BINARY_DIR}/tcmu-runner.service @ONLY)
	install(FILES ${CMAKE_BINARY_DIR}/tcmu-runner.service DESTINATION ${TCMU_UNIT_DIR})
endif()
configure_file(org.kernel.TCMUService1.service.in ${CMAKE_BINARY_DIR}/org.kernel.TCMUService1.service @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/org.kernel.TCMUService1.service
	DESTINATION ${CMAKE_INSTALL_DATADIR}/dbus-1/system-services)
