/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/visit.h"

#include <pthread.h>
#include <string.h>

#include "runner/device.h"
#include "runner/runner.h"

/* Guards the list, what runner_visits has of the list and the names, and that a device in it gets guests. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list open_devices = { &open_devices, &open_devices }; /* numbers ascending */
static uint64_t last_number;

static _Atomic(unsigned int) expected;
static _Atomic(bool) shut;

void runner_visits_expect(struct runner_dev *rdev)
{
	rdev->visits.expected = true;
	atomic_fetch_add(&expected, 1);
}

void runner_visits_give_up(struct runner_dev *rdev)
{
	if (rdev->visits.expected)
		atomic_fetch_sub(&expected, 1);
	rdev->visits.expected = false;
}

void runner_visits_shut(void)
{
	atomic_store(&shut, true);
}

bool runner_visits_try_again(void)
{
	return atomic_load(&shut) || atomic_load(&expected);
}

void runner_visits_open(struct runner_dev *rdev)
{
	pthread_mutex_lock(&lock);
	rdev->visits.number = ++last_number;
	list_add_tail(&open_devices, &rdev->visits.node);
	pthread_mutex_unlock(&lock);
	runner_visits_give_up(rdev);
}

void runner_visits_close(struct runner_dev *rdev)
{
	pthread_mutex_lock(&lock);
	list_del(&rdev->visits.node);
	pthread_mutex_unlock(&lock);
}

void runner_visits_reap(struct runner_dev *rdev)
{
	struct mpsc_node *node = mpsc_take(&rdev->visits.arrived);

	while (node) {
		struct runner_visit *visit = container_of(node, struct runner_visit, node);

		node = node->next; /* before run(): it may be sent again, elsewhere */
		visit->run(visit, rdev);
	}
}

void runner_visit_end(struct runner_dev *rdev)
{
	atomic_fetch_sub(&rdev->visits.guests, 1);
}

void runner_visits_set_name(struct runner_dev *rdev, const uint8_t *naa)
{
	pthread_mutex_lock(&lock);
	rdev->visits.named = naa;
	if (naa)
		memcpy(rdev->visits.naa, naa, SCSI_NAA_SIZE);
	pthread_mutex_unlock(&lock);
}

/* ---- any thread ---- */

static struct runner_dev *dev_of(struct list *node)
{
	return container_of(node, struct runner_dev, visits.node);
}

static struct runner_dev *find_locked(uint64_t number)
{
	list_for_each (node, &open_devices) {
		if (dev_of(node)->visits.number == number)
			return dev_of(node);
	}
	return NULL;
}

bool runner_visit_send(uint64_t number, struct runner_visit *visit)
{
	struct runner_dev *rdev;

	pthread_mutex_lock(&lock);
	rdev = find_locked(number);
	if (rdev) {
		/* It outlives its guests, and the wake-up. */
		atomic_fetch_add(&rdev->visits.guests, 1);
		atomic_fetch_add(&rdev->completing, 1);
	}
	pthread_mutex_unlock(&lock);
	if (!rdev)
		return false;
	mpsc_push(&rdev->visits.arrived, &visit->node);
	runner_dev_wake(rdev);
	atomic_fetch_sub(&rdev->completing, 1);
	return true;
}

uint64_t runner_visits_named(const uint8_t *naa)
{
	uint64_t number = 0;

	pthread_mutex_lock(&lock);
	list_for_each (node, &open_devices) {
		const struct runner_visits *v = &dev_of(node)->visits;

		if (v->named && !memcmp(v->naa, naa, SCSI_NAA_SIZE)) {
			number = v->number;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	return number;
}

uint64_t runner_visits_next(uint64_t number)
{
	uint64_t next = 0;

	pthread_mutex_lock(&lock);
	list_for_each (node, &open_devices) {
		if (dev_of(node)->visits.number > number) {
			next = dev_of(node)->visits.number;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	return next;
}
