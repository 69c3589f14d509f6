/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What initiators rely on and no restart may change: two bytes that live in the kernel's device
 * (tcmulib_device_set_note()). Provisioning thresholds do not fit in: a restart brings back the saved ones,
 * and if others were set, says so. SBC-4 6.5, Logical Block Provisioning page: what changes it beside
 * MODE SELECT establishes the unit attention MODE PARAMETERS CHANGED.
 */
#include "runner/device.h"

#define NOTE_WRITE_CACHE_OFF 0x01
#define NOTE_WRITE_CACHE_ON  0x02 /* one of these two is always set */
#define NOTE_D_SENSE         0x04
#define NOTE_SWP             0x08
#define NOTE_EJECTED         0x10
#define NOTE_PREVENTED       0x20
#define NOTE_HEALTH_SHIFT    6 /* enum runner_health, two bits */
#define NOTE_HEALTH_MASK     0x03
#define NOTE_THRESHOLDS      0x100 /* they are not as they are saved, and there is no room for them */
#define NOTE_MEDIUM_CHANGED                                                                        \
	0x200 /* and nobody has been told yet: the one unit attention that data hang on */

static bool thresholds_are_saved(const struct runner_dev *rdev)
{
	const struct scsi_mode_values *now = &rdev->mode, *saved = &rdev->mode_saved;

	if (now->lbpere != saved->lbpere)
		return false;
	for (unsigned int i = 0; i < SCSI_THRESHOLD_COUNT; i++) {
		if (now->threshold[i].enabled != saved->threshold[i].enabled ||
		    now->threshold[i].count != saved->threshold[i].count)
			return false;
	}
	return true;
}

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
	if (!thresholds_are_saved(rdev))
		note |= NOTE_THRESHOLDS;
	if (atomic_load(&rdev->unit_attentions) & RUNNER_UA_MEDIUM_CHANGED)
		note |= NOTE_MEDIUM_CHANGED;
	tcmulib_device_set_note(rdev->dev, (uint16_t)note);
}

void runner_dev_set_write_cache(struct runner_dev *rdev, bool on)
{
	tcmu_dev_set_write_cache_enabled(rdev->dev, on);
	runner_note_write(rdev);
}

static void restore_note(struct runner_dev *rdev, unsigned int note)
{
	bool removable = tcmu_dev_get_removable(rdev->dev);
	struct scsi_mode_values values = rdev->mode_saved;

	/* Never on where the handler has it off: it may know better than the last daemon's did. */
	values.wce = tcmu_dev_get_write_cache_enabled(rdev->dev) && !(note & NOTE_WRITE_CACHE_OFF);
	values.d_sense = note & NOTE_D_SENSE;
	values.swp = note & NOTE_SWP;
	runner_mode_apply(rdev, &values);
	if (note & NOTE_THRESHOLDS)
		runner_dev_unit_attention(rdev, RUNNER_UA_MODE_CHANGED);
	if (removable && note & NOTE_MEDIUM_CHANGED)
		runner_dev_unit_attention(rdev, RUNNER_UA_MEDIUM_CHANGED);
	rdev->ejected = removable && note & NOTE_EJECTED;
	rdev->prevented = removable && note & NOTE_PREVENTED;
	rdev->health = (enum runner_health)(note >> NOTE_HEALTH_SHIFT & NOTE_HEALTH_MASK);
}

void runner_note_restore(struct runner_dev *rdev)
{
	uint16_t note = tcmulib_device_note(rdev->dev);

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
