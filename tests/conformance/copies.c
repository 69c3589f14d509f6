/* SPDX-License-Identifier: Apache-2.0 */
#include "copies.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* ---- parameter lists ---- */

void put_be(uint8_t *to, uint64_t v, int bytes)
{
	while (bytes--) {
		to[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

uint64_t get_be(const uint8_t *from, int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | *from++;
	return v;
}

/* The name of page 83h. */
static void name_of(struct fake_dev *dev, uint8_t *naa)
{
	uint8_t buf[255] = { 0 };

	ASSERT_OUTCOME(send_cmd(dev, CDB(0x12, 1, 0x83, 0, 255), FAKE_IN, buf, sizeof(buf)), GOOD);
	assert_int_equal(buf[5], 0x03);
	assert_int_equal(buf[7], 16);
	memcpy(naa, buf + 8, 16);
}

void list_begin(struct list *l, uint8_t id, uint8_t usage)
{
	memset(l, 0, sizeof(*l));
	l->bytes[0] = id;
	l->bytes[1] = (uint8_t)(usage << 3);
	l->len = 16;
}

/* CSCD descriptors come first. */
uint8_t *list_cscd(struct list *l, struct fake_dev *dev)
{
	uint8_t *d = l->bytes + l->len;

	d[0] = 0xe4;
	d[4] = 1;
	d[5] = 3;
	d[7] = 16;
	name_of(dev, d + 8);
	put_be(d + 29, 512, 3);
	l->len += 32;
	put_be(l->bytes + 2, l->len - 16, 2);
	return d;
}

uint8_t *list_segment(struct list *l, uint16_t from, uint16_t to, uint64_t from_lba,
		      uint64_t to_lba, uint16_t blocks)
{
	uint8_t *d = l->bytes + l->len;

	d[0] = 2;
	d[3] = 24;
	put_be(d + 4, from, 2);
	put_be(d + 6, to, 2);
	put_be(d + 10, blocks, 2);
	put_be(d + 12, from_lba, 8);
	put_be(d + 20, to_lba, 8);
	l->len += 28;
	put_be(l->bytes + 8, l->len - 16 - get_be(l->bytes + 2, 2), 4);
	return d;
}

static const uint8_t *cdb_of(const struct list *l)
{
	static uint8_t cdb[16];

	memset(cdb, 0, sizeof(cdb));
	cdb[0] = 0x83;
	put_be(cdb + 10, l->len, 4);
	return cdb;
}

unsigned int xcopy(struct fake_dev *dev, struct list *l)
{
	return send_cmd(dev, cdb_of(l), FAKE_OUT, l->bytes, l->len);
}

void xcopy_submit(struct fake_dev *dev, struct bg *bg, const struct list *l)
{
	memcpy(bg->buf, l->bytes, sizeof(bg->buf));
	bg_submit(dev, bg, cdb_of(l), FAKE_OUT);
}

/* One segment. The command is sent to whichever of the two is to. */
unsigned int copy(struct fake_dev *to_whom, struct fake_dev *from, struct fake_dev *to,
		  uint64_t from_lba, uint64_t to_lba, uint16_t blocks)
{
	struct list l;

	list_begin(&l, 1, 2);
	list_cscd(&l, from);
	list_cscd(&l, to);
	list_segment(&l, 0, 1, from_lba, to_lba, blocks);
	return xcopy(to_whom, &l);
}

unsigned int receive(struct fake_dev *dev, uint8_t action, uint8_t id, uint8_t *buf, uint8_t len)
{
	memset(buf, 0, len);
	return send_cmd(dev, CDB(0x84, action, id, [13] = len), FAKE_IN, buf, len);
}

/* ---- media ---- */

static int medium(const char *name, uint64_t lba)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s.data", world_path(&w, name));
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(lseek(fd, (off_t)lba * 512, SEEK_SET) >= 0);
	return fd;
}

/* Each word of the medium: which, and where. */
void number_blocks(const char *name, uint32_t which)
{
	static uint32_t block[128];
	int fd = medium(name, 0);

	for (uint32_t lba = 0; lba < BLOCKS; lba++) {
		for (uint32_t i = 0; i < 128; i++)
			block[i] = which << 24 | lba;
		assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	}
	close(fd);
}

/* Are these blocks those that once were which's, from lba from on? */
void assert_blocks(const char *name, uint64_t lba, uint64_t n, uint32_t which, uint64_t from)
{
	static uint32_t block[128];
	int fd = medium(name, lba);

	for (uint64_t n_th = 0; n_th < n; n_th++) {
		assert_int_equal(read(fd, block, sizeof(block)), sizeof(block));
		for (uint32_t i = 0; i < 128; i++)
			assert_int_equal(block[i], which << 24 | (uint32_t)(from + n_th));
	}
	close(fd);
}

struct fake_dev *lun(const char *name, unsigned int number)
{
	struct fake_dev *dev = led_lun(name, SIZE);
	char serial[80], at[16];

	/* Where all initiators are the same, a copy is allowed. */
	snprintf(at, sizeof(at), "lun_%u", number);
	if (strcmp(name, "secret"))
		fake_target_map(dev, "loopback", "loopback/naa.5/tpgt_1", at, number);
	snprintf(serial, sizeof(serial), "T10 VPD Unit Serial Number: 1234%08x\n", number);
	fake_dev_set_attr(dev, "wwn/vpd_unit_serial", serial);
	number_blocks(name, number);
	return dev;
}

struct fake_dev *a, *b;

void two(void)
{
	start_usual(TCMU_LED_HANDLERS);
	a = lun("a", 1);
	b = lun("b", 2);
}

void remove_two(void)
{
	assert_int_equal(fake_dev_remove(a), 0);
	assert_int_equal(fake_dev_remove(b), 0);
}
