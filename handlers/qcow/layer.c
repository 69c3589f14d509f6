/* SPDX-License-Identifier: Apache-2.0 */
#include "layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "refuse.h"

/* ---- a file ---- */

/* The name may come out of an image that somebody else has made: what it names is looked at before it is
 * opened, for to open a device or a FIFO can do something by itself. */
static int open_file(const char *path, bool write, struct stat *st, char **reason)
{
	char again[48];
	int place = open(path, O_PATH | O_CLOEXEC);
	int fd = -1, err = 0;

	if (place < 0 || fstat(place, st))
		err = errno;
	if (!err && !S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode)) {
		close(place);
		return qcow_refuse(reason, S_ISDIR(st->st_mode) ? EISDIR : EINVAL,
				   "'%s' is neither a regular file nor a block device", path);
	}
	if (!err) {
		snprintf(again, sizeof(again), "/proc/self/fd/%d", place);
		fd = open(again, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
		if (fd < 0)
			err = errno;
	}
	if (place >= 0)
		close(place);
	if (err)
		return qcow_refuse(reason, err, "'%s' cannot be opened: %s", path, strerror(err));
	return fd;
}

static int file_open(const char *path, enum qcow_use use, struct stat *st, uint64_t *size,
		     char **reason)
{
	int fd = open_file(path, use == QCOW_WRITE, st, reason);
	off_t end;
	int ret;

	if (fd < 0)
		return fd;
	ret = use == QCOW_LOOK ? 0 : qcow_lock(fd, use, path, reason);
	if (!ret) {
		end = lseek(fd, 0, SEEK_END);
		if (end < 0)
			ret = qcow_refuse(reason, errno, "the size of '%s' cannot be found: %s",
					  path, strerror(errno));
		else
			*size = (uint64_t)end;
	}
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

/* ---- names ---- */

/* A relative name is relative to the directory of the image that has it. malloc'ed, NULL: no memory. */
static char *resolve(const char *image, const char *name)
{
	const char *slash = strrchr(image, '/');
	char *path;

	if (*name == '/' || !slash)
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)(slash - image), image, name) < 0)
		return NULL;
	return path;
}

/* "PROTOCOL:..." as QEMU has it: a colon before any slash. */
static bool names_protocol(const char *name)
{
	return name[strcspn(name, ":/")] == ':';
}

static int resolve_name(const struct qcow_layer *layer, const char *what, const char *name,
			char **path, char **reason)
{
	if (!strncmp(name, "file:", 5))
		name += 5;
	else if (names_protocol(name))
		return qcow_refuse(reason, EOPNOTSUPP,
				   "its %s is '%s', which is not a file's name and not supported; "
				   "change it with qemu-img rebase -u",
				   what, name);
	*path = resolve(layer->path, name);
	return *path ? 0 : -ENOMEM;
}

/* ---- an image ---- */

int qcow_layer_read_l1(struct qcow_layer *layer, uint64_t offset, uint32_t entries, char **reason)
{
	uint64_t *l1 = malloc(entries ? entries * sizeof(*l1) : sizeof(*l1));
	int ret = l1 ? qcow_pread(layer->fd, l1, entries * sizeof(*l1), offset) : -ENOMEM;

	if (ret) {
		free(l1);
		return ret == -ENOMEM ? ret
				      : qcow_refuse(reason, -ret,
						    "its L1 table at byte %llu cannot be read: %s",
						    (unsigned long long)offset, strerror(-ret));
	}
	for (uint32_t i = 0; i < entries; i++)
		l1[i] = get_be64(&l1[i]);
	free(layer->l1);
	layer->l1 = l1;
	layer->l1_size = entries;
	return 0;
}

static size_t at_most(size_t len, uint64_t size)
{
	return len < size ? len : (size_t)size;
}

static int read_header(struct qcow_layer *layer, char **reason)
{
	size_t len = at_most(QCOW_HEADER_LEAST, layer->file_size);
	uint8_t least[QCOW_HEADER_LEAST], *buf = NULL;
	int ret = qcow_pread(layer->fd, least, len, 0);

	if (!ret) {
		len = at_most(qcow_header_bytes(least, len), layer->file_size);
		buf = malloc(len ? len : 1);
		ret = buf ? qcow_pread(layer->fd, buf, len, 0) : -ENOMEM;
	}
	if (ret && ret != -ENOMEM)
		ret = qcow_refuse(reason, -ret, "its header cannot be read: %s", strerror(-ret));
	if (!ret)
		ret = qcow_header_parse(buf, len, layer->file_size, &layer->header, reason);
	free(buf);
	return ret;
}

static int open_data_file(struct qcow_layer *layer, enum qcow_use use, char **reason)
{
	struct stat st;
	uint64_t size;
	char *path;
	int ret;

	if (!(layer->header.incompatible_features & QCOW_INCOMPAT_DATA_FILE))
		return 0;
	if (!*layer->header.data_file)
		return qcow_refuse(reason, EINVAL,
				   "its data are in another file, whose name it does not say; set "
				   "it with qemu-img amend -o data_file=NAME");
	ret = resolve_name(layer, "data file", layer->header.data_file, &path, reason);
	if (ret)
		return ret;
	ret = file_open(path, use, &st, &size, reason);
	if (ret >= 0) {
		layer->data_fd = ret;
		ret = 0;
	}
	free(path);
	return ret;
}

static int open_image(struct qcow_layer *layer, const char *snapshot, enum qcow_use use,
		      char **reason)
{
	int ret = read_header(layer, reason);

	if (!ret)
		ret = open_data_file(layer, use, reason);
	if (ret)
		return ret;
	layer->size = layer->header.size;
	if (snapshot)
		return qcow_snapshot_use(layer, snapshot, reason);
	return qcow_layer_read_l1(layer, layer->header.l1_table_offset, layer->header.l1_size,
				  reason);
}

/* ---- a chain ---- */

static void layer_close(struct qcow_layer *layer)
{
	if (layer->data_fd >= 0 && layer->data_fd != layer->fd)
		close(layer->data_fd);
	if (layer->fd >= 0)
		close(layer->fd);
	free(layer->l1);
	free(layer->path);
	free(layer);
}

void qcow_layers_close(struct qcow_layer *top)
{
	while (top) {
		struct qcow_layer *backing = top->backing;

		layer_close(top);
		top = backing;
	}
}

/* path becomes the layer's. The reasons name it. */
static struct qcow_layer *layer_open(char *path, const char *format, const char *snapshot,
				     enum qcow_use use, int *err, char **reason)
{
	struct qcow_layer *layer = calloc(1, sizeof(*layer));
	struct stat st;
	int ret;

	if (!layer) {
		free(path);
		*err = -ENOMEM;
		return NULL;
	}
	layer->path = path;
	layer->data_fd = -1;
	layer->raw = !strcmp(format, "raw");
	ret = layer->fd = file_open(path, use, &st, &layer->file_size, reason);
	if (ret >= 0) {
		layer->data_fd = layer->fd;
		layer->block_dev = S_ISBLK(st.st_mode);
		layer->fs = st.st_dev;
		layer->node = st.st_ino;
		layer->size = layer->file_size;
		ret = layer->raw ? 0 : open_image(layer, snapshot, use, reason);
		if (ret && *reason)
			qcow_refuse(reason, 0, "'%s': %s", path, *reason);
	}
	if (ret < 0) {
		layer_close(layer);
		*err = ret;
		return NULL;
	}
	return layer;
}

/* What is behind layer has a path and a format: 1; it has nothing: 0; or -errno. */
static int find_backing(const struct qcow_layer *layer, char **path, char **reason)
{
	const struct qcow_header *h = &layer->header;

	if (layer->raw || !*h->backing_file)
		return 0;
	if (!*h->backing_format)
		return qcow_refuse(
			reason, EINVAL,
			"its backing file '%s' has no format, and none is guessed: a raw disk "
			"could pass for an image that names other files. Set it with "
			"qemu-img rebase -u -b '%s' -F FORMAT",
			h->backing_file, h->backing_file);
	if (strcmp(h->backing_format, "raw") && strcmp(h->backing_format, "qcow2") &&
	    strcmp(h->backing_format, "qcow"))
		return qcow_refuse(reason, EOPNOTSUPP,
				   "its backing file '%s' has the format '%s'; supported are raw, "
				   "qcow2 and qcow",
				   h->backing_file, h->backing_format);
	return resolve_name(layer, "backing file", h->backing_file, path, reason) ?: 1;
}

static int check_loop(const struct qcow_layer *top, const struct qcow_layer *layer, char **reason)
{
	unsigned int n = 0;

	for (const struct qcow_layer *l = top; l != layer; l = l->backing) {
		n++;
		if (l->fs == layer->fs && l->node == layer->node)
			return qcow_refuse(reason, ELOOP,
					   "the chain of backing files leads back to '%s'",
					   layer->path);
	}
	return n < QCOW_LAYERS_MAX
		       ? 0
		       : qcow_refuse(reason, EMLINK, "there are more than %d backing files",
				     QCOW_LAYERS_MAX);
}

struct qcow_layer *qcow_layers_open(const char *path, const char *snapshot, enum qcow_use use,
				    int *err, char **reason)
{
	char *next = strdup(path);
	struct qcow_layer *top, *layer;

	*reason = NULL;
	*err = -ENOMEM;
	top = layer = next ? layer_open(next, "qcow2", snapshot, use, err, reason) : NULL;
	while (layer) {
		*err = find_backing(layer, &next, reason);
		if (*err < 0 && *reason)
			qcow_refuse(reason, 0, "'%s': %s", layer->path, *reason);
		if (*err == 0)
			return top;
		if (*err < 0)
			break;
		layer->backing = layer_open(next, layer->header.backing_format, NULL,
					    use == QCOW_WRITE ? QCOW_READ : use, err, reason);
		layer = layer->backing;
		if (layer) {
			*err = check_loop(top, layer, reason);
			if (*err)
				break;
		}
	}
	qcow_layers_close(top);
	return NULL;
}
