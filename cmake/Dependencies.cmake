# SPDX-License-Identifier: Apache-2.0
# Finds what we build on with pkg-config and names the packages of what is missing, all at once.
find_package(PkgConfig)
if(NOT PKG_CONFIG_FOUND)
	message(FATAL_ERROR "pkg-config is missing. Debian: apt install pkg-config; Fedora: dnf install pkgconf-pkg-config")
endif()
find_package(Threads REQUIRED)

set(TCMU_MISSING "")
macro(tcmu_need prefix modules debian fedora)
	pkg_check_modules(${prefix} QUIET IMPORTED_TARGET ${modules})
	if(NOT ${prefix}_FOUND)
		string(REPLACE ";" " " names "${modules}")
		string(APPEND TCMU_MISSING "\n  ${names} (Debian: ${debian}, Fedora: ${fedora})")
	endif()
endmacro()

tcmu_need(LIBNL "libnl-3.0;libnl-genl-3.0" "libnl-3-dev libnl-genl-3-dev" "libnl3-devel")
tcmu_need(GLIB "glib-2.0>=2.56" "libglib2.0-dev" "glib2-devel")
tcmu_need(GIO "gio-2.0>=2.56" "libglib2.0-dev" "glib2-devel")
tcmu_need(KMOD "libkmod" "libkmod-dev" "kmod-devel")
# Without it the workers do all I/O.
pkg_check_modules(URING QUIET IMPORTED_TARGET "liburing>=2.3")
# Without it systemd is not told when the daemon is ready, and messages go to stderr alone.
if(TCMU_SYSTEMD)
	pkg_check_modules(SYSTEMD QUIET IMPORTED_TARGET "libsystemd")
endif()
# The qcow handler's. Without libzstd it refuses images that are compressed with it.
if(TCMU_HANDLER_QCOW)
	tcmu_need(ZLIB "zlib" "zlib1g-dev" "zlib-devel")
	pkg_check_modules(ZSTD QUIET IMPORTED_TARGET "libzstd")
endif()
if(TCMU_TESTS)
	tcmu_need(CMOCKA "cmocka" "libcmocka-dev" "libcmocka-devel")
endif()
if(TCMU_MISSING)
	message(FATAL_ERROR "Missing libraries, install their packages and configure again:${TCMU_MISSING}")
endif()
