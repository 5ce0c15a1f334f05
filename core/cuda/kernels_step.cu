/* The end of a training step: cross entropy, the optimiser, the moving average. See kernels_train.h. */
#include "core/cuda/kernels_train.h"

#include "core/cuda/device.h"

/* --- softmax_cross_entropy: a block a sample --- */

static __device__ float weight_of(const struct phiz_cuda_cross_entropy *p, int64_t c)
{
	return p->class_weight ? p->class_weight[c] : 1.0f;
}

/* One of a sample's two labels: its share (1, lambda or 1 - lambda); label -1: it does not count. */
static __device__ int part_of(const struct phiz_cuda_cross_entropy *p, int64_t n, int which, float *share)
{
	float lambda = p->lambda ? p->lambda[n] : 1.0f;
	*share = which ? 1 - lambda : lambda;
	return which == 0 ? p->labels[n] : p->labels_b ? p->labels_b[n] : -1;
}

static __global__ void cross_entropy_samples(struct phiz_cuda_cross_entropy p)
{
	const int64_t n = blockIdx.x;
	const float *x = p.logits + n * p.classes;
	float most = -INFINITY, sum = 0, smooth = 0;

	for (int64_t c = threadIdx.x; c < p.classes; c += THREADS)
		most = x[c] > most ? x[c] : most;
	most = block_reduce(most, true);
	for (int64_t c = threadIdx.x; c < p.classes; c += THREADS)
		sum += expf(x[c] - most);
	sum = block_reduce(sum, false);
	const float lse = most + logf(sum);
	for (int64_t c = threadIdx.x; c < p.classes; c += THREADS) {
		if (p.p)
			p.p[n * p.classes + c] = expf(x[c] - most) / sum;
		smooth += p.smoothing > 0 ? weight_of(&p, c) * (lse - x[c]) : 0.0f;
	}
	smooth = p.smoothing > 0 ? block_reduce(smooth, false) * p.smoothing / (float)p.classes : 0.0f;
	if (threadIdx.x == 0) {
		float loss = 0, weight = 0;
		for (int which = 0; which < 2; which++) {
			float share;
			int label = part_of(&p, n, which, &share);
			if (label < 0 || label >= p.classes)
				continue;
			float w = share * weight_of(&p, label);
			loss += (1 - p.smoothing) * w * (lse - x[label]) + share * smooth;
			weight += w;
		}
		p.sample[2 * n] = loss;
		p.sample[2 * n + 1] = weight;
	}
}

static __global__ void cross_entropy_loss(struct phiz_cuda_cross_entropy p)
{
	double loss = 0, sum = 0;
	for (int64_t n = 0; n < p.n; n++) {
		loss += p.sample[2 * n];
		sum += p.sample[2 * n + 1];
	}
	*p.loss = sum > 0 || !p.allow_none ? (float)(loss / sum) : 0.0f;
	if (p.sum)
		*p.sum = (float)sum;
}

int phiz_cuda_cross_entropy_forward(const struct phiz_cuda_cross_entropy *p, void *stream)
{
	LAUNCH_BLOCK((cross_entropy_samples), (unsigned)p->n, THREADS, stream)(*p);
	LAUNCH_BLOCK((cross_entropy_loss), 1u, 1, stream)(*p);
	return (int)cudaPeekAtLastError();
}

static __global__ void cross_entropy_gradient(struct phiz_cuda_cross_entropy p)
{
	const int64_t n = blockIdx.x;
	float total = 0, g = *p.dloss / *p.sum;

	if (p.smoothing > 0) {
		for (int64_t c = threadIdx.x; c < p.classes; c += THREADS)
			total += weight_of(&p, c);
		total = block_reduce(total, false);
	}
	for (int64_t c = threadIdx.x; c < p.classes; c += THREADS) {
		float prob = p.p[n * p.classes + c], d = 0;
		bool any = false;
		for (int which = 0; which < 2; which++) {
			float share;
			int label = part_of(&p, n, which, &share);
			if (label < 0 || label >= p.classes)
				continue;
			any = true;
			d += (1 - p.smoothing) * share * weight_of(&p, label) * (prob - (c == label ? 1.0f : 0.0f));
			if (p.smoothing > 0)
				d += share * p.smoothing / (float)p.classes * (prob * total - weight_of(&p, c));
		}
		float *to = &p.dlogits[n * p.classes + c];
		*to = (p.add ? *to : 0.0f) + (any ? g * d : 0.0f);
	}
}

int phiz_cuda_cross_entropy_backward(const struct phiz_cuda_cross_entropy *p, void *stream)
{
	LAUNCH_BLOCK((cross_entropy_gradient), (unsigned)p->n, THREADS, stream)(*p);
	return (int)cudaPeekAtLastError();
}

/* --- The optimiser: a block a piece of a parameter. Scalars as train/optimizer.c has them. --- */

static __device__ int64_t end_of(int64_t first, int64_t count)
{
	return min(first + PHIZ_CUDA_PIECE, count);
}

/* The sum over a block, on its first thread. */
static __device__ double block_sum(double sum)
{
	__shared__ double all[THREADS];
	all[threadIdx.x] = sum;
	for (int half = THREADS / 2; half > 0; half /= 2) {
		__syncthreads();
		if ((int)threadIdx.x < half)
			all[threadIdx.x] += all[threadIdx.x + half];
	}
	return all[0];
}

static __global__ void norm_pieces(struct phiz_cuda_step s)
{
	const struct phiz_cuda_piece piece = s.piece[blockIdx.x];
	const struct phiz_update_param *p = &s.update.param[piece.param];
	double sum = 0;

	for (int64_t i = piece.first + threadIdx.x; i < end_of(piece.first, p->count); i += THREADS)
		sum += (double)p->g[i] * (double)p->g[i];
	sum = block_sum(sum);
	if (threadIdx.x == 0)
		s.partial[blockIdx.x] = sum;
}

static __global__ void add_norm(struct phiz_cuda_step s)
{
	double sum = 0;

	for (int64_t i = threadIdx.x; i < s.pieces; i += THREADS)
		sum += s.partial[i];
	sum = block_sum(sum);
	if (threadIdx.x == 0)
		*s.norm = sqrt(sum) * s.update.scale;
}

static __global__ void step_pieces(struct phiz_cuda_step s)
{
	const struct phiz_update *u = &s.update;
	const struct phiz_cuda_piece piece = s.piece[blockIdx.x];
	const struct phiz_update_param p = u->param[piece.param];
	const double norm = *s.norm;
	double scale = u->scale;

	if (!isfinite(norm))
		return;
	if (u->max_norm > 0 && u->max_norm / (norm + 1e-6) < 1)
		scale *= u->max_norm / (norm + 1e-6);
	for (int64_t i = piece.first + threadIdx.x; i < end_of(piece.first, p.count); i += THREADS) {
		float w = p.w[i], g = p.g[i] * (float)scale;
		if (u->rule == PHIZ_UPDATE_SGD) {
			g += p.decay * w;
			if (p.m) {
				float m = p.first ? g : u->momentum * p.m[i] + u->keep * g;
				p.m[i] = m;
				g = u->nesterov ? g + u->momentum * m : m;
			}
			p.w[i] = w - p.lr * g;
			continue;
		}
		if (u->rule == PHIZ_UPDATE_ADAM)
			g += p.decay * w;
		else
			w *= p.decay;
		float m = p.m[i] * u->beta1 + u->grow1 * g, v = p.v[i] * u->beta2 + u->grow2 * g * g;
		p.m[i] = m;
		p.v[i] = v;
		p.w[i] = w - p.lr * m / (sqrtf(v) / p.root2 + u->eps);
	}
}

int phiz_cuda_run_step(const struct phiz_cuda_step *s, void *stream)
{
	LAUNCH_BLOCK((norm_pieces), (unsigned)s->pieces, THREADS, stream)(*s);
	LAUNCH_BLOCK((add_norm), 1u, THREADS, stream)(*s);
	LAUNCH_BLOCK((step_pieces), (unsigned)s->pieces, THREADS, stream)(*s);
	return (int)cudaPeekAtLastError();
}

static __global__ void average_pieces(const struct phiz_average_pair *pairs, const struct phiz_cuda_piece *pieces,
                                      float keep, float take)
{
	const struct phiz_cuda_piece piece = pieces[blockIdx.x];
	const struct phiz_average_pair p = pairs[piece.param];
	for (int64_t i = piece.first + threadIdx.x; i < end_of(piece.first, p.count); i += THREADS)
		p.shadow[i] = keep * p.shadow[i] + take * p.live[i];
}

int phiz_cuda_average(const struct phiz_average_pair *pair, const struct phiz_cuda_piece *piece, int64_t pieces,
                      float keep, float take, void *stream)
{
	LAUNCH_BLOCK((average_pieces), (unsigned)pieces, THREADS, stream)(pair, piece, keep, take);
	return (int)cudaPeekAtLastError();
}
