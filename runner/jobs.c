/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/workers.h"

struct runner_job *runner_job_take(struct runner_job **first, struct runner_job ***last,
				   const void *from, const void *to,
				   bool (*may)(const struct runner_job *job))
{
	for (struct runner_job **at = first; at != *last; at = &(*at)->next) {
		struct runner_job *job = *at;

		if ((const void *)job < from || (const void *)job >= to || !may(job))
			continue;
		*at = job->next;
		if (*last == &job->next)
			*last = at;
		return job;
	}
	return NULL;
}
