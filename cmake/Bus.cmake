# SPDX-License-Identifier: Apache-2.0
# The policy of the system bus for our names.
set(TCMU_DBUS_GROUP_POLICY "")
if(TCMU_DBUS_GROUP)
	string(CONCAT TCMU_DBUS_GROUP_POLICY
		"  <policy group=\"${TCMU_DBUS_GROUP}\">\n"
		"    <allow own_prefix=\"org.kernel.TCMUService1\"/>\n"
		"    <allow send_destination=\"org.kernel.TCMUService1\"/>\n"
		"    <allow send_destination_prefix=\"org.kernel.TCMUService1\"/>\n"
		"    <allow receive_sender=\"org.kernel.TCMUService1\" receive_type=\"signal\"/>\n"
		"  </policy>\n")
endif()
configure_file(tcmu-runner.conf.in ${CMAKE_BINARY_DIR}/tcmu-runner.conf @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/tcmu-runner.conf DESTINATION ${CMAKE_INSTALL_DATADIR}/dbus-1/system.d)
