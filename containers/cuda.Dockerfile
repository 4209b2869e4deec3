# Trains on GPUs:  docker build -f containers/cuda.Dockerfile -t rl_sim_env:cuda .
# torch and Warp bring CUDA with them; the host's driver comes in with --gpus all.
FROM python:3.11-slim-bookworm

RUN apt-get update && apt-get install -y --no-install-recommends git libegl1 libgl1 \
    && rm -rf /var/lib/apt/lists/*
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics

WORKDIR /opt/rl_sim_env
COPY constraints.txt .
RUN pip install --no-cache-dir --constraint constraints.txt torch
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt --editable source/rl_sim_env

# A folder to mount, or kernels compiled ahead: docs/clusters.md.
ENV WARP_CACHE_PATH=/opt/kernels
WORKDIR /work
ENTRYPOINT ["rl-sim-env"]
