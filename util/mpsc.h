/* SPDX-License-Identifier: Apache-2.0 */
/* Lock-free queue, many producers, one consumer that takes everything at once. Nodes are intrusive;
 * a producer does not touch its node after mpsc_push(). */
#ifndef UTIL_MPSC_H
#define UTIL_MPSC_H

#include <stdatomic.h>
#include <stddef.h>

struct mpsc_node {
	struct mpsc_node *next;
};

struct mpsc {
	_Atomic(struct mpsc_node *) top;
};

static inline void mpsc_init(struct mpsc *q)
{
	atomic_init(&q->top, NULL);
}

/* What the producer wrote before is seen by the consumer after mpsc_take(). Sequentially consistent:
 * a producer that looks afterwards whether the consumer sleeps cannot miss it. */
static inline void mpsc_push(struct mpsc *q, struct mpsc_node *node)
{
	struct mpsc_node *old = atomic_load_explicit(&q->top, memory_order_relaxed);

	do {
		node->next = old;
	} while (!atomic_compare_exchange_weak_explicit(&q->top, &old, node, memory_order_seq_cst,
							memory_order_relaxed));
}

/* All nodes in the order in which they were pushed, linked by next; NULL if there are none. */
static inline struct mpsc_node *mpsc_take(struct mpsc *q)
{
	struct mpsc_node *node, *fifo = NULL;

	if (!atomic_load_explicit(&q->top, memory_order_relaxed))
		return NULL;
	node = atomic_exchange_explicit(&q->top, NULL, memory_order_acquire);
	while (node) {
		struct mpsc_node *next = node->next;

		node->next = fifo;
		fifo = node;
		node = next;
	}
	return fifo;
}

#endif
