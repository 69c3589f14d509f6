/* SPDX-License-Identifier: Apache-2.0 */
/* What a string from the bus must look like before anybody else sees it. Pure. Each says what is wrong with it, a
 * sentence in a static buffer, or NULL. The strings are UTF-8 of any length, as D-Bus has it. */
#ifndef DBUS_FORM_H
#define DBUS_FORM_H

#define FORM_CONFIG_MAX  255 /* bytes, drivers/target/target_core_user.c: TCMU_CONFIG_LEN */
#define FORM_SUBTYPE_MAX 64
#define FORM_DESC_MAX    4096
#define FORM_NAME_MAX    300 /* user_N/NAME: a file's name and some */

/* A config string for a handler of this subtype: SUBTYPE/CONFIG. */
const char *form_config(const char *subtype, const char *cfgstring);
/* A handler of another process that wants to be registered. */
const char *form_registration(const char *subtype, const char *desc);
/* The name of a storage object, NAME or user_N/NAME. */
const char *form_name(const char *name);

#endif
