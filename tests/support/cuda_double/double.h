/* The test double of CUDA from inside, and how tests steer it. */
#ifndef CUDA_DOUBLE_DOUBLE_H
#define CUDA_DOUBLE_DOUBLE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For tests, found by dlsym in the module. Call number k from now on (from 1; 0: none) fails, whichever entry point it
 * is: where memory is asked for as out of memory. Calls since then; what has been made and not yet destroyed: memory,
 * handles, descriptors, streams, events, graphs. */
__attribute__((visibility("default"))) void cuda_double_fail_at(long k);
__attribute__((visibility("default"))) long cuda_double_calls(void);
__attribute__((visibility("default"))) long cuda_double_live(void);

#ifdef __cplusplus
}

#include <functional>

#include <cuda_runtime.h>

namespace cuda_double {

/* Counts a call of an entry point; true where it is the one to fail. */
bool call_fails();
/* Puts work into the stream: done when somebody waits for it, or recorded. NULL: at once. */
void enqueue(cudaStream_t stream, std::function<void()> work);
/* Is all of it memory of the device? */
bool on_device(const void *memory, size_t bytes);
void count_live(long by);

}
#endif
#endif
