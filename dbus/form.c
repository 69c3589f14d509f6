/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/form.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *form_config(const char *subtype, const char *cfgstring)
{
	static char why[2 * FORM_SUBTYPE_MAX + 160];
	size_t len = strlen(cfgstring), prefix = strlen(subtype);

	if (len > FORM_CONFIG_MAX)
		snprintf(why, sizeof(why), "the config string has %zu bytes, the kernel takes %d",
			 len, FORM_CONFIG_MAX);
	else if (strncmp(cfgstring, subtype, prefix) || cfgstring[prefix] != '/')
		snprintf(why, sizeof(why), "a config string for '%.*s' begins with '%.*s/'",
			 FORM_SUBTYPE_MAX, subtype, FORM_SUBTYPE_MAX, subtype);
	else
		return NULL;
	return why;
}

/* isalnum() depends on the locale. */
static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* It becomes an element of an object path and of a bus name. */
static bool is_subtype(const char *s)
{
	size_t len = strnlen(s, FORM_SUBTYPE_MAX + 1);

	if (!is_letter(*s) || len > FORM_SUBTYPE_MAX)
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!is_letter(s[i]) && !is_digit(s[i]))
			return false;
	}
	return true;
}

const char *form_registration(const char *subtype, const char *desc)
{
	if (!is_subtype(subtype))
		return "a subtype is of the form [A-Za-z_][A-Za-z0-9_]*, at most 64 bytes long";
	if (!strcmp(subtype, "HandlerManager1"))
		return "this name is taken by an object of the service";
	if (strnlen(desc, FORM_DESC_MAX + 1) > FORM_DESC_MAX)
		return "the description is longer than 4096 bytes";
	return NULL;
}

/* "user_N/", or the whole where it is not that. */
static const char *without_hba(const char *name)
{
	size_t digits;

	if (strncmp(name, "user_", 5))
		return name;
	digits = strspn(name + 5, "0123456789");
	return digits && name[5 + digits] == '/' ? name + 5 + digits + 1 : name;
}

const char *form_name(const char *name)
{
	const char *object = without_hba(name);

	if (strnlen(name, FORM_NAME_MAX + 1) > FORM_NAME_MAX)
		return "the name of a storage object is not that long";
	if (!*object || strchr(object, '/') || !strcmp(object, ".") || !strcmp(object, ".."))
		return "this is not the name of a storage object: it is NAME, or user_N/NAME";
	return NULL;
}
