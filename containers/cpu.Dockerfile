# Trains and plays on CPUs:  docker build -f containers/cpu.Dockerfile -t rl_sim_env:cpu .
FROM python:3.11-slim-bookworm

# OpenGL without a screen, for videos.
RUN apt-get update && apt-get install -y --no-install-recommends git libegl1 libgl1 libosmesa6 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/rl_sim_env
COPY constraints.txt .
RUN pip install --no-cache-dir --constraint constraints.txt torch \
    --index-url https://download.pytorch.org/whl/cpu
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt --editable source/rl_sim_env

# Runs go to logs/ of the folder that is mounted here.
WORKDIR /work
ENTRYPOINT ["rl-sim-env"]
