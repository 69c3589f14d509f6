/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QCOW_REFUSE_H
#define QCOW_REFUSE_H

/* *reason becomes the sentence, malloc'ed (NULL: no memory); what was there is freed. Returns -err. */
int qcow_refuse(char **reason, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
