/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fake_cmd last;

bool sense_is_descriptor(const struct fake_cmd *cmd)
{
	return (cmd->sense[0] & 0x7f) >= 0x72;
}

unsigned int outcome(const struct fake_cmd *cmd)
{
	const uint8_t *s = cmd->sense;

	if (cmd->status != 2)
		return (unsigned int)cmd->status << 24;
	return sense_is_descriptor(cmd)
		       ? SENSE(s[1] & 0xfu, (unsigned int)s[2], (unsigned int)s[3])
		       : SENSE(s[2] & 0xfu, (unsigned int)s[12], (unsigned int)s[13]);
}

int progress(const uint8_t *s)
{
	const uint8_t *specific = s + 15;

	if ((s[0] & 0x7f) >= 0x72) {
		if (s[7] < 8 || s[8] != 2)
			return -1;
		specific = s + 12;
	}
	return specific[0] & 0x80 ? specific[1] << 8 | specific[2] : -1;
}

unsigned int send_cmd(struct fake_dev *dev, const uint8_t *cdb, enum fake_dir dir, void *data,
		      size_t len)
{
	uint64_t end = fake_now_ms() + LONG_MS;

	do { /* BUSY: a daemon has just taken over from one that died */
		fake_cmd_init(&last, cdb, 16, data ? dir : FAKE_NONE, data, data ? len : 0);
		assert_int_equal(fake_exec(fake_dev_ring(dev), &last, LONG_MS), 0);
	} while (last.status == 8 && fake_now_ms() < end && !usleep(1000));
	return outcome(&last);
}

unsigned int tur(struct fake_dev *dev)
{
	return send_cmd(dev, CDB(0), FAKE_NONE, NULL, 0);
}

unsigned int start_stop(struct fake_dev *dev, uint8_t byte4)
{
	return send_cmd(dev, CDB(0x1b, 0, 0, 0, byte4), FAKE_NONE, NULL, 0);
}

static void put_lba(uint8_t *cdb, uint64_t lba)
{
	for (int i = 0; i < 8; i++)
		cdb[2 + i] = (uint8_t)(lba >> (56 - 8 * i));
}

unsigned int read_block(struct fake_dev *dev, uint64_t lba, uint8_t *buf)
{
	uint8_t cdb[16] = { 0x88, [13] = 1 };

	put_lba(cdb, lba);
	return send_cmd(dev, cdb, FAKE_IN, buf, 512);
}

unsigned int write_block(struct fake_dev *dev, uint64_t lba, uint8_t fill)
{
	uint8_t cdb[16] = { 0x8a, [13] = 1 }, buf[512];

	put_lba(cdb, lba);
	memset(buf, fill, sizeof(buf));
	return send_cmd(dev, cdb, FAKE_OUT, buf, sizeof(buf));
}

static void control_page(struct fake_dev *dev, uint8_t *page)
{
	uint8_t buf[64] = { 0 };

	ASSERT_OUTCOME(send_cmd(dev, CDB(0x1a, 0x08, 0x0a, 0, 64), FAKE_IN, buf, sizeof(buf)),
		       GOOD);
	assert_int_equal(buf[4] & 0x3f, 0x0a);
	assert_int_equal(buf[5], 10);
	memcpy(page, buf + 4, 12);
}

bool d_sense(struct fake_dev *dev)
{
	uint8_t page[12];

	control_page(dev, page);
	return page[2] & 0x04;
}

bool swp(struct fake_dev *dev)
{
	uint8_t page[12];

	control_page(dev, page);
	return page[4] & 0x08;
}

unsigned int select_control(struct fake_dev *dev, bool want_d_sense, bool want_swp, bool sp)
{
	uint8_t list[16] = { 0 };

	control_page(dev, list + 4);
	list[4] &= 0x3f; /* PS is reserved here */
	list[4 + 2] = (uint8_t)((list[4 + 2] & ~0x04) | (want_d_sense ? 0x04 : 0));
	list[4 + 4] = (uint8_t)((list[4 + 4] & ~0x08) | (want_swp ? 0x08 : 0));
	return send_cmd(dev, CDB(0x15, sp ? 0x11 : 0x10, 0, 0, 16), FAKE_OUT, list, sizeof(list));
}

/* ---- the handler that is led ---- */

static const char *beside(const char *name, const char *what)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/%s.%s", w.dir, name, what);
	return path;
}

void led_mark(const char *name, const char *what)
{
	close(open(beside(name, what), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

struct fake_dev *led_lun(const char *name, uint64_t size)
{
	struct fake_dev *dev = NULL;
	char config[200];

	snprintf(config, sizeof(config), "led/%s", world_path(&w, name));
	assert_int_equal(lun_create(&w, name, config, size, &dev), 0);
	return dev;
}

bool medium_is(const char *name, uint8_t byte)
{
	int fd = open(beside(name, "data"), O_RDONLY | O_CLOEXEC);
	static uint8_t buf[65536];
	bool same = fd >= 0;
	ssize_t n;

	while (same && (n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			same = same && buf[i] == byte;
	}
	close(fd);
	return same;
}

void medium_fill(const char *name, uint8_t byte)
{
	int fd = open(beside(name, "data"), O_RDWR | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);
	static uint8_t buf[65536];

	memset(buf, byte, sizeof(buf));
	for (off_t at = 0; at < size; at += (off_t)sizeof(buf))
		assert_int_equal(pwrite(fd, buf, sizeof(buf), at), sizeof(buf));
	close(fd);
}

unsigned int wait_while(struct fake_dev *dev, unsigned int code)
{
	uint64_t end = fake_now_ms() + LONG_MS;
	unsigned int now;

	while ((now = tur(dev)) == code && fake_now_ms() < end)
		usleep(1000);
	return now;
}

void restart(const char *handlers, bool killed)
{
	if (killed)
		proc_kill(&w.d);
	else
		stop();
	start_usual(handlers);
}
