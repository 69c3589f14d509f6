/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What initiators rely on and no restart may change: a byte that lives in the kernel's device
 * (tcmulib_device_set_note()).
 */
#include "runner/device.h"

#define NOTE_WRITE_CACHE_OFF 0x01
#define NOTE_WRITE_CACHE_ON  0x02 /* one of these two is always set */
#define NOTE_D_SENSE         0x04
#define NOTE_SWP             0x08
#define NOTE_EJECTED         0x10
#define NOTE_PREVENTED       0x20
#define NOTE_HEALTH_SHIFT    6 /* enum runner_health */

void runner_note_write(struct runner_dev *rdev)
{
	unsigned int note = tcmu_dev_get_write_cache_enabled(rdev->dev) ? NOTE_WRITE_CACHE_ON
									: NOTE_WRITE_CACHE_OFF;

	if (rdev->mode.d_sense)
		note |= NOTE_D_SENSE;
	if (rdev->mode.swp)
		note |= NOTE_SWP;
	if (rdev->ejected)
		note |= NOTE_EJECTED;
	if (rdev->prevented)
		note |= NOTE_PREVENTED;
	note |= (unsigned int)rdev->health << NOTE_HEALTH_SHIFT;
	tcmulib_device_set_note(rdev->dev, (uint8_t)note);
}

void runner_dev_set_write_cache(struct runner_dev *rdev, bool on)
{
	tcmu_dev_set_write_cache_enabled(rdev->dev, on);
	runner_note_write(rdev);
}

static void restore_note(struct runner_dev *rdev, unsigned int note)
{
	bool removable = tcmu_dev_get_removable(rdev->dev);

	/* Never on where the handler has it off: it may know better than the last daemon's did. */
	if (note & NOTE_WRITE_CACHE_OFF)
		tcmu_dev_set_write_cache_enabled(rdev->dev, false);
	rdev->mode.d_sense = note & NOTE_D_SENSE;
	rdev->mode.swp = note & NOTE_SWP;
	rdev->ejected = removable && note & NOTE_EJECTED;
	rdev->prevented = removable && note & NOTE_PREVENTED;
	rdev->health = (enum runner_health)(note >> NOTE_HEALTH_SHIFT);
}

void runner_note_restore(struct runner_dev *rdev)
{
	uint8_t note = tcmulib_device_note(rdev->dev);

	runner_mode_load(rdev);
	if (note)
		restore_note(rdev, note);
	else
		runner_mode_apply(rdev, &rdev->mode_saved);
	runner_note_write(rdev);
	if (rdev->health != RUNNER_HEALTH_OK)
		tcmu_dev_warn(rdev->dev,
			      "a %s operation did not come to its end: the logical unit refuses "
			      "commands until one does",
			      rdev->health == RUNNER_FORMAT_FAILED ? "format" : "sanitize");
}
