# Builds phiz for 64-bit ARM on another machine, and runs what is built under qemu: cmake -DCMAKE_TOOLCHAIN_FILE=...
# The libraries lie in build/arm64-root (tools/install_deps arm), or in PHIZ_SYSROOT.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

get_filename_component(PHIZ_DEFAULT_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../build/arm64-root ABSOLUTE)
set(PHIZ_SYSROOT ${PHIZ_DEFAULT_SYSROOT} CACHE PATH "Root of an arm64 Debian's libraries")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES PHIZ_SYSROOT)
set(CMAKE_SYSROOT ${PHIZ_SYSROOT})
set(CMAKE_FIND_ROOT_PATH ${PHIZ_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${PHIZ_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${PHIZ_SYSROOT}/usr/share/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${PHIZ_SYSROOT})

# Libraries that other libraries need are found there as well when linking.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${PHIZ_SYSROOT}/usr/lib/aarch64-linux-gnu")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-Wl,-rpath-link,${PHIZ_SYSROOT}/usr/lib/aarch64-linux-gnu")

# The Jetson Nano's processor: what it lacks (dot products, half-precision arithmetic, SVE) is an illegal instruction.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-cpu;cortex-a57;-L;${PHIZ_SYSROOT})
