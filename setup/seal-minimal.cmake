# Toolchain file for building Pyfhel 3.5.0: SEAL without GSL, zlib and zstd.
# Nothing is cloned while building, and no decompression code stands behind the loader of
# ciphertexts, which removes the decompression bombs of the full build.
foreach(dependency SEAL_BUILD_DEPS SEAL_USE_MSGSL SEAL_USE_ZLIB SEAL_USE_ZSTD)
  set(${dependency} OFF CACHE BOOL "" FORCE)
endforeach()
