/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of EXTENDED COPY share: parameter lists, and media whose blocks are numbered. */
#ifndef TESTS_CONFORMANCE_COPIES_H
#define TESTS_CONFORMANCE_COPIES_H

#include "state.h"

#define SIZE   (4 * MIB)
#define BLOCKS (SIZE / 512)
#define PIECE  512u /* blocks */

#define UNREACHABLE     SENSE(0xau, 0x08u, 4u)
#define NOT_REACHABLE   SENSE(0xau, 0x0du, 2u)
#define DEVICE_FAILURE  SENSE(0xau, 0x0du, 1u)
#define WRONG_TYPE      SENSE(0xau, 0x0du, 3u)
#define COPY_RANGE      SENSE(0xau, 0u, 0u)
#define COPY_LIST_FIELD SENSE(0xau, 0x26u, 0u)
#define INEXACT         SENSE(0xau, 0x26u, 0x0au)
#define NOT_AUTHORIZED  SENSE(0xau, 0x26u, 0x15u)

/* Big-endian, of so many bytes. */
void put_be(uint8_t *to, uint64_t v, int bytes);
uint64_t get_be(const uint8_t *from, int bytes);

/* ---- parameter lists ---- */

struct list {
	uint8_t bytes[512];
	size_t len;
};

void list_begin(struct list *l, uint8_t id, uint8_t usage);
/* CSCD descriptors come first. Each returns where it is. */
uint8_t *list_cscd(struct list *l, struct fake_dev *dev);
uint8_t *list_segment(struct list *l, uint16_t from, uint16_t to, uint64_t from_lba,
		      uint64_t to_lba, uint16_t blocks);

unsigned int xcopy(struct fake_dev *dev, struct list *l);
void xcopy_submit(struct fake_dev *dev, struct bg *bg, const struct list *l);
/* One segment. The command is sent to whichever of the two is to. */
unsigned int copy(struct fake_dev *to_whom, struct fake_dev *from, struct fake_dev *to,
		  uint64_t from_lba, uint64_t to_lba, uint16_t blocks);
/* RECEIVE COPY RESULTS with this service action. */
unsigned int receive(struct fake_dev *dev, uint8_t action, uint8_t id, uint8_t *buf, uint8_t len);

/* ---- units and their media ---- */

/* Each word of the medium: which, and where. */
void number_blocks(const char *name, uint32_t which);
/* Are these blocks those that once were which's, from lba from on? */
void assert_blocks(const char *name, uint64_t lba, uint64_t n, uint32_t which, uint64_t from);
/* A led unit with a name of its own and numbered blocks. */
struct fake_dev *lun(const char *name, unsigned int number);

/* Number 1 and 2, of a daemon that is started. */
extern struct fake_dev *a, *b;
void two(void);
void remove_two(void);

#endif
