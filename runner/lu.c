/* SPDX-License-Identifier: Apache-2.0 */
/* The logical unit of a device as the pure functions of scsi/ want it. */
#include <string.h>

#include "runner/device.h"
#include "runner/ports.h"
#include "runner/runner.h"
#include "scsi/threshold.h"

void runner_lu(struct runner_dev *rdev, struct scsi_lu *lu, unsigned int with)
{
	struct tcmu_device *dev = rdev->dev;
	char company_id[16] = "";

	*lu = (struct scsi_lu) {
		.num_lbas = tcmu_dev_get_num_lbas(dev),
		.block_size = tcmu_dev_get_block_size(dev),
		.phys_exponent = tcmu_dev_get_phys_exponent(dev),
		.max_xfer_len = tcmu_dev_get_max_xfer_len(dev),
		.opt_xfer_len = tcmu_dev_get_max_xfer_len(dev),
		.max_unmap_len = tcmu_dev_get_max_unmap_len(dev),
		.opt_unmap_gran = tcmu_dev_get_opt_unmap_gran(dev),
		.unmap_gran_align = tcmu_dev_get_unmap_gran_align(dev),
		.write_cache = tcmu_dev_get_write_cache_enabled(dev),
		.write_protect = tcmu_dev_get_write_protect_enabled(dev),
		.swp = rdev->mode.swp,
		.d_sense = rdev->mode.d_sense,
		.lbpere = rdev->mode.lbpere,
		.threshold_exponent = runner_threshold_exponent(rdev),
		.saves = rdev->saves,
		.mode_saved = rdev->mode_saved,
		.mode_default = rdev->mode_default,
		.solid_state = tcmu_dev_get_solid_state_media(dev),
		.unmap = tcmu_dev_get_unmap_enabled(dev),
		.unmap_zeroes = tcmu_dev_get_unmap_zeroes(dev),
		.removable = tcmu_dev_get_removable(dev),
		.medium_present = !rdev->ejected,
		.medium_locked = rdev->prevented,
		.caw_max = runner_caw_max(rdev),
		.atomic_max = tcmu_dev_get_max_atomic_len(dev),
		.lba_status = true, /* where the handler does not know, all is mapped */
		.xcopy = rdev->handler->read && rdev->handler->write,
		.sanitize = rdev->handler->write,
		.reservations = true,
		.absent = runner_absent_commands(),
		.vendor = "LIO-ORG",
		.product = "TCMU device",
		.revision = "0002",
	};
	memcpy(lu->threshold, rdev->mode.threshold, sizeof(lu->threshold));
	/* Not with the defaults, which may change: it identifies the logical unit. */
	g_strlcpy(lu->name, tcmu_dev_get_cfgstring(dev),
		  MIN(sizeof(lu->name), rdev->config_len + 1));
	if (with & RUNNER_LU_PORTS) {
		runner_ports_lu(dev, lu);
		/* The kernel's own commands, which it then refuses (passthrough_parse_cdb()). */
		lu->reservations = tcmu_cfgfs_dev_get_attr_int(dev, "emulate_pr") != 0;
	}
	if (!(with & RUNNER_LU_WWN))
		return;
	tcmu_dev_read_wwn(dev, "vpd_unit_serial", lu->serial, sizeof(lu->serial));
	tcmu_dev_read_wwn(dev, "vendor_id", lu->vendor, sizeof(lu->vendor));
	tcmu_dev_read_wwn(dev, "product_id", lu->product, sizeof(lu->product));
	tcmu_dev_read_wwn(dev, "revision", lu->revision, sizeof(lu->revision));
	tcmu_dev_read_wwn(dev, "company_id", company_id, sizeof(company_id));
	lu->company_id = (uint32_t)g_ascii_strtoull(company_id, NULL, 16);
}

/* ---- unit attentions ---- */

void runner_dev_unit_attention(struct runner_dev *rdev, unsigned int ua)
{
	atomic_fetch_or(&rdev->unit_attentions, ua);
}

bool runner_dev_take_unit_attention(struct runner_dev *rdev, struct scsi_sense *sense)
{
	unsigned int uas = atomic_load_explicit(&rdev->unit_attentions, memory_order_relaxed);
	unsigned int first = uas & -uas; /* they are numbered by precedence */

	switch (first) {
	case 0:
		return false;
	case RUNNER_UA_MEDIUM_CHANGED:
		*sense = SCSI_SENSE_MEDIUM_CHANGED;
		if (rdev->stale)
			return true;
		atomic_fetch_and(&rdev->unit_attentions, ~first);
		runner_note_write(rdev);
		return true;
	case RUNNER_UA_CAPACITY_CHANGED:
		*sense = SCSI_SENSE_CAPACITY_CHANGED;
		break;
	case RUNNER_UA_MODE_CHANGED:
		*sense = SCSI_SENSE_MODE_PARAMETERS_CHANGED;
		break;
	case RUNNER_UA_THRESHOLD(SCSI_THRESHOLD_AVAILABLE):
		*sense = scsi_threshold_sense(SCSI_THRESHOLD_AVAILABLE);
		break;
	case RUNNER_UA_THRESHOLD(SCSI_THRESHOLD_USED):
		*sense = scsi_threshold_sense(SCSI_THRESHOLD_USED);
		break;
	}
	atomic_fetch_and(&rdev->unit_attentions, ~first);
	return true;
}
