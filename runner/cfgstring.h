/* SPDX-License-Identifier: Apache-2.0 */
/* What the runner itself takes out of a config string before a handler sees it. Pure. */
#ifndef RUNNER_CFGSTRING_H
#define RUNNER_CFGSTRING_H

/*
 * Removes ";tcmur_cmd_time_out=SECONDS" from cfg, in place, wherever it stands behind a ';'. Returns the
 * seconds, 0 if it is not there (or says 0: no limit), -EINVAL if it is no whole number; cfg is unchanged
 * then. Of several the last one counts.
 */
int runner_cfg_take_time_out(char *cfg);

#endif
