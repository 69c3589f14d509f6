/* SPDX-License-Identifier: Apache-2.0 */
/* A shared object that is no handler. */
int not_a_handler(void);

__attribute__((visibility("default"))) int not_a_handler(void)
{
	return 0;
}
