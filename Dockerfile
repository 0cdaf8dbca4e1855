# GradTrack as a container.
#
#   docker build -t gradtrack .
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/data" gradtrack train configs/demo.yaml --out runs/demo
#
# With CUDA:
#
#   docker build -t gradtrack-cuda --build-arg BASE=nvidia/cuda:13.0.1-cudnn-devel-ubuntu24.04 --build-arg CUDA=ON .
#   docker run --rm --gpus all -v "$PWD:/data" gradtrack-cuda info
#
# BASE is Debian 12 or later, or Ubuntu 24.04 or later.
ARG BASE=debian:12-slim
FROM ${BASE}
SHELL ["/bin/sh", "-eu", "-c"]

WORKDIR /src
COPY .ci/packages .ci/packages
RUN .ci/packages && rm -rf /var/lib/apt/lists/*

COPY . .
ARG CUDA=OFF
# The image runs on other processors than the one that it is built on: with AVX2, or with AVX-512.
ARG PROCESSORS="x86-64-v3;x86-64-v4"
RUN cmake -S . -B /build -G Ninja -DGRADTRACK_CUDA="${CUDA}" -DGRADTRACK_PROCESSORS="${PROCESSORS}" \
    && cmake --build /build \
    && cmake --install /build \
    && rm -rf /build

WORKDIR /data
ENTRYPOINT ["gradtrack"]
CMD ["--help"]
