#pragma once
// The libav libraries as Debian 12 has them (5.1), and what of them only C can say: macros that are expressions.
#include <libavformat/avformat.h>
#include <libavcodec/avcodec.h>
#include <libavutil/aes.h>
#include <libavutil/aes_ctr.h>
#include <libavutil/encryption_info.h>
#include <libavutil/imgutils.h>
#include <libavutil/md5.h>
#include <libavutil/opt.h>
#include <libavutil/sha.h>
#include <libswscale/swscale.h>
#include <errno.h>

static inline int strongroom_av_again(void) { return AVERROR(EAGAIN); }
static inline int strongroom_av_eof(void) { return AVERROR_EOF; }
static inline int strongroom_av_no_memory(void) { return AVERROR(ENOMEM); }
static inline int64_t strongroom_av_no_pts(void) { return AV_NOPTS_VALUE; }
