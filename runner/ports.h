/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ports through which initiators reach a logical unit, as configfs has them. Nothing is kept: they
 * come and go without an event.
 *
 * Who looks at the directory of its own device for a command waits for nothing: REMOVED, which locks it,
 * comes after the last answer (or five seconds after its deadline, for a command that the kernel has
 * given up). The directories of ports and ACLs are others' and may be locked by who waits for that very
 * command: see runner_copy_allowed().
 */
#ifndef RUNNER_PORTS_H
#define RUNNER_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "scsi/lu.h"
#include "scsi/tpg.h"

struct tcmu_device;

/* A LUN of a target portal group. */
struct runner_port {
	char tpg[320]; /* below target/: "iscsi/iqn.x/tpgt_1" */
	char lun[24];  /* "lun_0" */
};

/* The target port groups of a device with their names in alua/. */
struct runner_tpgs {
	struct scsi_tpgs scsi;
	char name[SCSI_TPG_MAX][256];
};

/* The next port of the members of a target port group, in text (as read, end excluded); *at goes on. 1 and
 * *port, 0 at the end, -EINVAL: what is there cannot be made out. Pure. */
int runner_port_next(const char **at, const char *end, struct runner_port *port);

/* Names of the target port groups of a storage object ("user_0/name") and the ports of one of them, as
 * tcmu_target_list() and tcmu_target_read() give them. Any thread; they block. */
ssize_t runner_tpg_names(const char *object, char *names, size_t size);
ssize_t runner_tpg_members(const char *object, const char *group, char *text, size_t size);
#define RUNNER_MEMBERS_MAX (4096 + 1) /* bytes of text for the longest list that the kernel makes */

/* The target port groups, sorted by their numbers: those with ports (SPC-5 6.36: each has one), or all of
 * them if there is no port at all. 0 or -errno. Any thread; blocks for some file reads. */
int runner_tpgs_read(struct tcmu_device *dev, struct runner_tpgs *groups);

/* Fills in what lu says about ports: TPGS, and target port group and relative target port identifier
 * where they cannot be but one. The ring does not tell through which port a command came. As above, but
 * fewer reads. */
void runner_ports_lu(struct tcmu_device *dev, struct scsi_lu *lu);

/*
 * May a command copy from one logical unit to the other (EXTENDED COPY; CVE-2020-28374)? The ring does
 * not tell who asks, so only if everybody who can send a command to either of them may read the one and
 * write the other: each target portal group that maps one maps both, each ACL in it that maps one maps
 * both, the destination without write_protect, and so for initiators without an ACL where they are let in.
 * No if anything about that cannot be read. To itself, if everybody may write it.
 *
 * Any thread. The look goes on a thread of its own and takes a second at most: configfs may hold it
 * until the command that asks is answered. A refusal is logged, some of them at least.
 */
bool runner_copy_allowed(struct tcmu_device *from, struct tcmu_device *to);

#endif
