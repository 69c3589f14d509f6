/* SPDX-License-Identifier: Apache-2.0 */
/* What a binary of tcmu-runner 1.x looks like to the loader: it wants the bare symbol. */
struct tcmur_handler;
int tcmur_register_handler(struct tcmur_handler *handler);
int handler_init(void);

__attribute__((visibility("default"))) int handler_init(void)
{
	return tcmur_register_handler(0);
}
