/* SPDX-License-Identifier: Apache-2.0 */
/* In front of every source of fuzz-ring (-include): before each atomic access of the library, and after
 * each such store, the kernel may do something, or the process dies. */
#ifndef RING_STRIKE_H
#define RING_STRIKE_H

void ring_strike(void);

#define __atomic_load_n(...)  (ring_strike(), __atomic_load_n(__VA_ARGS__))
#define __atomic_store_n(...) (ring_strike(), __atomic_store_n(__VA_ARGS__), ring_strike())
#define __atomic_compare_exchange_n(...)                                                           \
	__extension__({                                                                            \
		ring_strike();                                                                     \
		_Bool done_ = __atomic_compare_exchange_n(__VA_ARGS__);                            \
		ring_strike();                                                                     \
		done_;                                                                             \
	})

#endif
