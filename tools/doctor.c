#include "tools/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <phiz/video.h>

#include "core/base/alloc.h"

enum { TEXT = 65536 };
static const double GIB = 1024.0 * 1024 * 1024;

struct look {
	const char *root;
	phiz_finding_fn tell;
	void *user;
	char text[TEXT]; /* of the file read last */
};

__attribute__((format(printf, 2, 3))) static void write_to(char text[256], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, 256, format, args);
	va_end(args);
}

/* The file's text without a last end of line or zero (device trees end in one), into l->text. Files of /proc have no
 * size, and are read to their end. */
static bool read_text(struct look *l, const char *path)
{
	char name[512];

	snprintf(name, sizeof name, "%s%s", l->root, path);
	FILE *f = fopen(name, "r");
	if (!f)
		return false;
	size_t n = fread(l->text, 1, TEXT - 1, f);
	fclose(f);
	while (n > 0 && (l->text[n - 1] == '\n' || l->text[n - 1] == '\0' || l->text[n - 1] == ' '))
		n--;
	l->text[n] = '\0';
	return n > 0;
}

/* What follows "key" and a colon in lines of the last file, or NULL; cut at the end of its line. */
static const char *value_of(struct look *l, const char *key, char value[256])
{
	size_t length = strlen(key);

	for (const char *line = l->text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, length)) {
			const char *at = line + length + strspn(line + length, " \t");
			if (*at == ':') {
				at += 1 + strspn(at + 1, " \t");
				write_to(value, "%.*s", (int)strcspn(at, "\n"), at);
				return value;
			}
		}
	}
	return NULL;
}

static void tell(struct look *l, struct phiz_finding *f)
{
	l->tell(l->user, f);
}

/* --- The board --- */

static bool look_at_board(struct look *l)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "board", "", "", NULL};
	char vendor[128] = "";
	bool jetson = false;

	if (read_text(l, "/proc/device-tree/model")) {
		jetson = strstr(l->text, "Jetson") || strstr(l->text, "Tegra");
		write_to(f.value, "%.200s", l->text);
	} else {
		if (read_text(l, "/sys/class/dmi/id/sys_vendor"))
			snprintf(vendor, sizeof vendor, "%.100s ", l->text);
		bool named = read_text(l, "/sys/class/dmi/id/product_name");
		write_to(f.value, "%s%.100s", vendor, named ? l->text : *vendor ? "" : "not named");
	}
	tell(l, &f);
	return jetson;
}

/* L4T's releases have JetPack's numbers on NVIDIA's pages only. */
static const char *jetpack_of(int major, int minor)
{
	return major == 32 ? (minor >= 7 ? "4.6.1 or later" : minor == 6 ? "4.6" : "4.5 or earlier")
	       : major == 35 ? "5" : major >= 36 ? "6 or later" : "3 or earlier";
}

static void look_at_release(struct look *l)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "JetPack", "", "", NULL};
	int major = 0, minor = 0;

	if (!read_text(l, "/etc/nv_tegra_release"))
		return;
	if (sscanf(l->text, "# R%d (release), REVISION: %d", &major, &minor) < 1) {
		f.state = PHIZ_FINDING_WARNING;
		write_to(f.value, "not told by /etc/nv_tegra_release");
		write_to(f.cure, "phiz is tried with JetPack 4.6 (L4T 32.6) and later");
	} else {
		write_to(f.value, "%s (L4T %d.%d)", jetpack_of(major, minor), major, minor);
		if (major < 32 || (major == 32 && minor < 6)) {
			f.state = PHIZ_FINDING_WARNING;
			write_to(f.cure, "take JetPack 4.6 or later: its cuDNN 8.2 is the oldest that phiz is made for");
		}
	}
	tell(l, &f);
}

/* --- Processor, clocks, power, temperature --- */

static void look_at_processor(struct look *l)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "processor", "", "", NULL};
	char name[256] = "";
	int cores = 0;

	if (read_text(l, "/proc/cpuinfo")) {
		if (!value_of(l, "model name", name) && value_of(l, "CPU part", name)) {
			char part[256];
			write_to(part, "ARM, part %.200s", name);
			memcpy(name, part, sizeof name);
		}
		for (const char *at = l->text; (at = strstr(at, "processor")) != NULL; at++)
			cores += at == l->text || at[-1] == '\n';
	}
	if (cores == 0) {
		f.state = PHIZ_FINDING_WARNING;
		write_to(f.cure, "/proc/cpuinfo cannot be read: is /proc mounted?");
	}
	write_to(f.value, "%.200s, %d cores", *name ? name : "not named", cores);
	tell(l, &f);
}

static double number_in(struct look *l, const char *path)
{
	return read_text(l, path) ? strtod(l->text, NULL) : -1;
}

static void look_at_clocks(struct look *l, bool jetson)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "clocks", "", "", NULL};
	char governor[64];
	double most = number_in(l, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");

	if (!read_text(l, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))
		return;
	snprintf(governor, sizeof governor, "%.60s", l->text);
	double now = number_in(l, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq");
	write_to(f.value, "governor %s, %.0f of %.0f MHz", governor, now / 1e3, most / 1e3);
	if (!strcmp(governor, "powersave") || (jetson && strcmp(governor, "performance"))) {
		f.state = PHIZ_FINDING_WARNING;
		write_to(f.cure, "%s", jetson ? "sudo jetson_clocks, for steady and short times"
		                              : "sudo cpupower frequency-set -g performance");
	}
	tell(l, &f);
}

static void look_at_power(struct look *l)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "power mode", "", "", NULL};
	int mode;

	if (!read_text(l, "/var/lib/nvpmodel/status") || sscanf(l->text, "pmode:%d", &mode) != 1)
		return;
	write_to(f.value, "%d", mode);
	if (mode != 0) {
		f.state = PHIZ_FINDING_WARNING;
		write_to(f.cure, "sudo nvpmodel -m 0 gives all cores and clocks, where the power supply is good for it (a "
		         "Nano: 5 V, 4 A by the barrel jack)");
	}
	tell(l, &f);
}

static void look_at_temperature(struct look *l)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "temperature", "", "", NULL};
	double most = -1;

	for (int i = 0; i < 16; i++) {
		char path[128];
		snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", i);
		double t = number_in(l, path) / 1e3;
		most = t > most && t < 200 ? t : most;
	}
	if (most <= 0)
		return;
	write_to(f.value, "%.0f degrees C at the hottest place", most);
	if (most >= 80) {
		f.state = PHIZ_FINDING_WARNING;
		write_to(f.cure, "it slows down soon: a fan, or sudo nvpmodel -m 1");
	}
	tell(l, &f);
}

/* --- Memory, swap, disk --- */

/* Of /proc/meminfo, which has just been read, in bytes; 0: not told. */
static double meminfo(struct look *l, const char *key)
{
	char value[256];
	return value_of(l, key, value) ? strtod(value, NULL) * 1024 : 0;
}

static void look_at_memory(struct look *l)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "memory", "", "", NULL}, s = {PHIZ_FINDING_OK, "swap", "", "", NULL};

	if (!read_text(l, "/proc/meminfo")) {
		f.state = PHIZ_FINDING_WARNING;
		write_to(f.value, "not told");
		write_to(f.cure, "/proc/meminfo cannot be read: is /proc mounted?");
		tell(l, &f);
		return;
	}
	double all = meminfo(l, "MemTotal"), available = meminfo(l, "MemAvailable"), swap = meminfo(l, "SwapTotal");
	write_to(f.value, "%.1f GiB, %.1f available", all / GIB, available / GIB);
	if (available < 0.15 * GIB) {
		f.state = PHIZ_FINDING_FAILED;
		write_to(f.cure, "ResNet-18 alone takes 0.1 GiB: end other programs (on a Nano: sudo systemctl stop gdm3)");
	} else if (available < 0.6 * GIB) {
		f.state = PHIZ_FINDING_WARNING;
		write_to(f.cure, "cuDNN takes about 0.5 GiB: end other programs (on a Nano: sudo systemctl stop gdm3), or run "
		         "with --device cpu");
	}
	tell(l, &f);
	write_to(s.value, "%.1f GiB", swap / GIB);
	if (swap == 0 && all < 5 * GIB) {
		s.state = PHIZ_FINDING_WARNING;
		write_to(s.cure, "building needs some: sudo fallocate -l 4G /swap; sudo chmod 600 /swap; sudo mkswap /swap; "
		         "sudo swapon /swap");
	}
	tell(l, &s);
}

static void look_at_disk(struct look *l)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "disk", "", "", NULL};
	struct statvfs disk;

	if (statvfs(".", &disk)) {
		f.state = PHIZ_FINDING_WARNING;
		write_to(f.value, "not told");
		write_to(f.cure, "this folder cannot be looked at");
		tell(l, &f);
		return;
	}
	double free_bytes = (double)disk.f_bavail * (double)disk.f_frsize;
	write_to(f.value, "%.1f GiB free in this folder", free_bytes / GIB);
	if (free_bytes < 0.1 * GIB) {
		f.state = PHIZ_FINDING_FAILED;
		write_to(f.cure, "make room: a build takes 0.1 GiB, a model 0.05");
	} else if (free_bytes < 1 * GIB) {
		f.state = PHIZ_FINDING_WARNING;
		write_to(f.cure, "make room: sudo apt-get clean");
	}
	tell(l, &f);
}

/* --- Cameras and videos --- */

/* Nodes that give no pictures (a camera's second one is for its metadata) are none. What is no device, in a folder that
 * stands for another machine's, is taken at its name. */
static bool gives_pictures(int device)
{
	struct v4l2_capability c = {.capabilities = 0};

	if (ioctl(device, VIDIOC_QUERYCAP, &c))
		return true;
	unsigned caps = c.capabilities & V4L2_CAP_DEVICE_CAPS ? c.device_caps : c.capabilities;
	return caps & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE);
}

static bool look_at_camera(struct look *l, int number)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "camera", "", "", NULL};
	char path[512];
	struct stat node;

	snprintf(path, sizeof path, "%s/dev/video%d", l->root, number);
	if (lstat(path, &node))
		return false;
	int device = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC), error = errno;
	bool camera = device < 0 || gives_pictures(device);
	if (device >= 0)
		close(device);
	snprintf(path, sizeof path, "/sys/class/video4linux/video%d/name", number);
	bool named = read_text(l, path);
	write_to(f.value, "/dev/video%d%s%.100s", number, named ? ": " : "", named ? l->text : "");
	if (device < 0) {
		f.state = PHIZ_FINDING_WARNING;
		write_to(f.value, "/dev/video%d cannot be opened: %s", number, strerror(error));
		write_to(f.cure, "%s", error == EACCES ? "sudo usermod -aG video $USER, and log in again"
		                                       : "dmesg tells more; unplug it and plug it in again");
	}
	if (camera)
		tell(l, &f);
	return camera;
}

static void look_at_cameras(struct look *l)
{
	struct phiz_finding none = {PHIZ_FINDING_OK, "camera", "none as /dev/video* (network cameras need none)", "", NULL};
	int count = 0;

	for (int i = 0; i < 64; i++)
		count += look_at_camera(l, i);
	if (count == 0)
		tell(l, &none);
}

/* What is missing is no fault as such: a board without a camera needs no source for one. */
static const struct element {
	const char *name, *what, *package;
	bool jetson; /* on a Jetson only */
} elements[] = {
	{"decodebin", "videos and streams of any kind", "gstreamer1.0-plugins-base", false},
	{"videoconvert", "colours of videos and cameras", "gstreamer1.0-plugins-base", false},
	{"videoflip", "videos turned upright", "gstreamer1.0-plugins-good", false},
	{"qtdemux", "MP4 and MOV files", "gstreamer1.0-plugins-good", false},
	{"avdec_h264", "H.264, decoded by the processor", "gstreamer1.0-libav", false},
	{"avdec_h265", "H.265, decoded by the processor", "gstreamer1.0-libav", false},
	{"jpegdec", "MJPEG, which many USB cameras send", "gstreamer1.0-plugins-good", false},
	{"v4l2src", "USB cameras", "gstreamer1.0-plugins-good", false},
	{"rtspsrc", "network cameras (RTSP)", "gstreamer1.0-plugins-good", false},
	{"h264parse", "H.264 for NVIDIA's decoder", "gstreamer1.0-plugins-bad", true},
	{"nvv4l2decoder", "H.264 and H.265, decoded by the board's decoder", "nvidia-l4t-gstreamer", true},
	{"nvvidconv", "pictures out of NVIDIA's memory", "nvidia-l4t-gstreamer", true},
	{"nvarguscamerasrc", "CSI cameras", "nvidia-l4t-gstreamer", true},
};

static void look_at_elements(struct look *l, bool jetson)
{
	for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++) {
		const struct element *e = &elements[i];
		struct phiz_finding f = {PHIZ_FINDING_OK, e->name, "", "", e->package};
		if (e->jetson && !jetson)
			continue;
		if (phiz_video_has_element(e->name)) {
			write_to(f.value, "there, for %s (%s)", e->what, e->package);
		} else {
			f.state = PHIZ_FINDING_WARNING;
			write_to(f.value, "missing, for %s", e->what);
			write_to(f.cure, "sudo apt-get install %s", e->package);
		}
		tell(l, &f);
	}
}

static void look_at_video(struct look *l, bool jetson)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "video", "with GStreamer", "", NULL};

	if (!phiz_video_available()) {
		f.state = PHIZ_FINDING_WARNING;
		write_to(f.value, "built without GStreamer");
		write_to(f.cure, "for videos and cameras: install libgstreamer1.0-dev and libgstreamer-plugins-base1.0-dev, "
		         "and build again");
	}
	tell(l, &f);
	if (phiz_video_available())
		look_at_elements(l, jetson);
}

enum phiz_status phiz_doctor_look(struct phiz_ctx *ctx, const char *root, phiz_finding_fn tell_fn, void *user)
{
	struct look *l = phiz_calloc(ctx, 1, sizeof *l);

	if (!l)
		return PHIZ_E_NOMEM;
	l->root = root;
	l->tell = tell_fn;
	l->user = user;
	bool jetson = look_at_board(l);
	look_at_release(l);
	look_at_processor(l);
	look_at_clocks(l, jetson);
	look_at_power(l);
	look_at_temperature(l);
	look_at_memory(l);
	look_at_disk(l);
	look_at_cameras(l);
	look_at_video(l, jetson);
	phiz_free(ctx, l);
	return PHIZ_OK;
}
