/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole program on libtcmu, with one thread and one poll() loop: RAM disks.
 *
 * Start it as root, then create a device of its subtype:
 *
 *   cd /sys/kernel/config/target/core && mkdir -p user_0/ram
 *   echo -n dev_config=consumer/,dev_size=67108864 > user_0/ram/control
 *   echo 1 > user_0/ram/enable
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

#include "libtcmu.h"
#include "scsi_defs.h"

#define DEFAULT_SIZE (64u << 20)
#define MAX_DISKS    128

/* One disk: what tcmu_dev_get_private() points to. */
struct disk {
	struct tcmu_device *dev;
	uint8_t *mem;
	size_t size;
};

static struct disk *disks[MAX_DISKS];
static int disk_count;

/* ---- SCSI commands ---------------------------------------------------------------------------- */

/* The place and length of a READ or WRITE in bytes, checked against the disk and against the
 * buffer, which an initiator may have made shorter than its CDB says. */
static int check_range(struct disk *disk, struct tcmulib_cmd *cmd, size_t *offset, size_t *len)
{
	uint64_t lba = tcmu_cdb_get_lba(cmd->cdb);
	uint32_t blocks = tcmu_cdb_get_xfer_length(cmd->cdb);
	uint64_t num_lbas = tcmu_dev_get_num_lbas(disk->dev);

	if (lba > num_lbas || blocks > num_lbas - lba) /* written so that nothing overflows */
		return TCMU_STS_RANGE;
	*offset = (size_t)tcmu_lba_to_byte(disk->dev, lba);
	*len = (size_t)tcmu_lba_to_byte(disk->dev, blocks);
	if (tcmu_iovec_length(cmd->iovec, cmd->iov_cnt) < *len)
		return TCMU_STS_INVALID_CDB;
	return TCMU_STS_OK;
}

static int do_read(struct disk *disk, struct tcmulib_cmd *cmd)
{
	size_t offset, len;
	int sts = check_range(disk, cmd, &offset, &len);

	if (sts != TCMU_STS_OK)
		return sts;
	/* The kernel reuses data buffers without clearing them: what we do not write, or exclude
	 * with read_len, would be somebody else's data. */
	if (!len)
		tcmu_iovec_zero(cmd->iovec, cmd->iov_cnt);
	tcmu_memcpy_into_iovec(cmd->iovec, cmd->iov_cnt, disk->mem + offset, len);
	cmd->read_len = (uint32_t)len;
	return TCMU_STS_OK;
}

static int do_write(struct disk *disk, struct tcmulib_cmd *cmd)
{
	size_t offset, len;
	int sts = check_range(disk, cmd, &offset, &len);

	if (sts != TCMU_STS_OK)
		return sts;
	tcmu_memcpy_from_iovec(disk->mem + offset, len, cmd->iovec, cmd->iov_cnt);
	return TCMU_STS_OK;
}

/* Returns an enum tcmu_sts. What the kernel answers itself (REPORT LUNS, reservations) does not come
 * here. */
static int handle_command(struct disk *disk, struct tcmulib_cmd *cmd)
{
	struct tcmu_device *dev = disk->dev;
	struct iovec *iov = cmd->iovec;
	size_t cnt = cmd->iov_cnt;
	uint8_t *cdb = cmd->cdb;

	switch (cdb[0]) {
	case READ_6:
	case READ_10:
	case READ_12:
	case READ_16:
		return do_read(disk, cmd);
	case WRITE_6:
	case WRITE_10:
	case WRITE_12:
	case WRITE_16:
		return do_write(disk, cmd);
	case SYNCHRONIZE_CACHE:
	case SYNCHRONIZE_CACHE_16:
		/* There is no cache in front of the memory. A buffer should not come along, but if it
		 * does it must not carry what was in it before. */
		tcmu_iovec_zero(iov, cnt);
		return TCMU_STS_OK;
	case INQUIRY:
		return tcmu_emulate_inquiry(dev, NULL, cdb, iov, cnt);
	case TEST_UNIT_READY:
		return tcmu_emulate_test_unit_ready(cdb, iov, cnt);
	case READ_CAPACITY:
		return tcmu_emulate_read_capacity_10(tcmu_dev_get_num_lbas(dev),
						     tcmu_dev_get_block_size(dev), cdb, iov, cnt);
	case SERVICE_ACTION_IN_16:
		if ((cdb[1] & 0x1f) == SAI_READ_CAPACITY_16)
			return tcmu_emulate_read_capacity_16(dev, cdb, iov, cnt);
		return TCMU_STS_NOT_HANDLED;
	case MODE_SENSE:
	case MODE_SENSE_10:
		return tcmu_emulate_mode_sense(dev, cdb, iov, cnt);
	case MODE_SELECT:
	case MODE_SELECT_10:
		return tcmu_emulate_mode_select(dev, cdb, iov, cnt);
	default:
		return TCMU_STS_NOT_HANDLED;
	}
}

/* Everything that is on the ring now: acknowledge the event first, so that a command that comes in
 * while we work raises a new one. One doorbell for all of it. */
static void serve(struct disk *disk)
{
	struct tcmulib_cmd *cmd;

	tcmulib_processing_start(disk->dev);
	/* A task management function needs nothing here, as all commands before it are answered; but
	 * there may be more behind it. */
	do {
		while ((cmd = tcmulib_get_next_command(disk->dev, 0)))
			tcmulib_command_complete(disk->dev, cmd, handle_command(disk, cmd));
	} while (tcmulib_get_next_tmr(disk->dev));
	tcmulib_processing_complete(disk->dev);
}

/* ---- life of a device ------------------------------------------------------------------------- */

static bool check_config(const char *cfgstring, char **reason)
{
	if (!strcmp(cfgstring, "consumer") || !strcmp(cfgstring, "consumer/"))
		return true;
	*reason = strdup("a RAM disk takes no configuration: use 'consumer/'");
	return false;
}

static int added(struct tcmu_device *dev)
{
	uint64_t size = tcmu_dev_get_config_size(dev);
	struct disk *disk;
	int ret;

	if (disk_count == MAX_DISKS)
		return -ENOSPC;
	ret = tcmulib_device_start(dev); /* nobody's I/O into our memory can be left from before */
	if (ret)
		return ret;
	disk = calloc(1, sizeof(*disk));
	if (!disk)
		return -ENOMEM;
	disk->dev = dev;
	disk->size = size ? (size_t)size : DEFAULT_SIZE;
	disk->mem = mmap(NULL, disk->size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (disk->mem == MAP_FAILED) {
		free(disk);
		return -ENOMEM;
	}
	tcmu_dev_set_num_lbas(dev, disk->size / tcmu_dev_get_block_size(dev));
	tcmu_dev_set_private(dev, disk);
	disks[disk_count++] = disk;
	tcmu_dev_info(dev, "added: %zu bytes", disk->size);

	/* Commands may be waiting since before the descriptor was open; they raise no event. */
	serve(disk);
	return 0;
}

static void removed(struct tcmu_device *dev)
{
	struct disk *disk = tcmu_dev_get_private(dev);

	for (int i = 0; i < disk_count; i++) {
		if (disks[i] == disk)
			disks[i--] = disks[--disk_count];
	}
	munmap(disk->mem, disk->size);
	free(disk);
	tcmu_dev_info(dev, "removed");
}

/* ---- the program ------------------------------------------------------------------------------ */

static void print_message(const struct tcmu_log_record *record, void *arg)
{
	(void)arg;
	fprintf(stderr, "consumer: %s%s%s\n", record->device ? record->device : "",
		record->device ? ": " : "", record->message);
}

/* SIGTERM and SIGINT as a descriptor, so that they end the loop between two rounds. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Serves the disk with this descriptor, unless it has ended meanwhile. */
static void serve_fd(int fd)
{
	for (int i = 0; i < disk_count; i++) {
		if (tcmu_dev_get_fd(disks[i]->dev) == fd) {
			serve(disks[i]);
			return;
		}
	}
}

/* One round: waits, then serves the master (whose callbacks change disks[]), then disks. The master
 * first: while a removal waits for our answer, a command that looks into the device's configfs
 * directory (INQUIRY does, for the serial number) would wait for the removal, and so for ever. */
static int run_once(struct tcmulib_context *ctx, int signal_fd, bool *stop)
{
	struct pollfd fds[2 + MAX_DISKS];
	int count = disk_count, ret = 0;

	fds[0] = (struct pollfd) { .fd = signal_fd, .events = POLLIN };
	fds[1] = (struct pollfd) { .fd = tcmulib_get_master_fd(ctx), .events = POLLIN };
	for (int i = 0; i < count; i++) {
		bool gone = tcmulib_ring_state(disks[i]->dev) == TCMULIB_RING_GONE;

		/* A removed device stays readable until its removed(): do not spin on it. */
		fds[2 + i] = (struct pollfd) { .fd = gone ? -1 : tcmu_dev_get_fd(disks[i]->dev),
					       .events = POLLIN };
	}
	if (poll(fds, (nfds_t)(2 + count), -1) < 0)
		return errno == EINTR ? 0 : -errno;
	*stop = fds[0].revents != 0;
	if (fds[1].revents)
		ret = tcmulib_master_fd_ready(ctx);
	for (int i = 0; i < count; i++) {
		if (fds[2 + i].revents)
			serve_fd(fds[2 + i].fd);
	}
	return ret;
}

int main(void)
{
	struct tcmulib_handler handler = {
		.name = "RAM disk",
		.subtype = "consumer",
		.cfg_desc = "consumer/ (no configuration)",
		.check_config = check_config,
		.added = added,
		.removed = removed,
	};
	struct tcmulib_context *ctx;
	bool stop = false;
	int signal_fd, ret = 0;

	tcmu_set_log_sink(print_message, NULL);
	signal_fd = open_signals();
	if (signal_fd < 0) {
		perror("consumer: signalfd");
		return 1;
	}
	ctx = tcmulib_initialize(&handler, 1);
	if (!ctx) {
		fprintf(stderr, "consumer: cannot connect to the kernel: %s%s\n", strerror(errno),
			errno == ENOENT ? " (modprobe target_core_user)" : "");
		return 1;
	}
	puts("consumer: ready");
	fflush(stdout);
	while (!ret && !stop)
		ret = run_once(ctx, signal_fd, &stop);
	tcmulib_close(ctx); /* removed() for each disk */
	return ret ? 1 : 0;
}
