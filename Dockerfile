# One image for the commands, the service, MLflow's server, and Dask's scheduler and workers:
#   docker build -t ser-benchmark .
# With networks and encoders, on PyTorch for CPUs:
#   docker build -t ser-benchmark --build-arg TORCH=2.13.0 --build-arg EXTRAS=serve,cluster,deep,embeddings .
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
ARG EXTRAS=serve,cluster
ARG TORCH=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/ser
ENV PATH=/opt/ser/bin:$PATH
RUN if [ -n "$TORCH" ]; then \
        pip install "torch==$TORCH" --index-url https://download.pytorch.org/whl/cpu; \
    fi
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY studies studies
COPY benchmark benchmark
RUN pip install -c constraints.txt ".[$EXTRAS]"

FROM python:${PYTHON}-slim-bookworm
RUN useradd --create-home --uid 10001 ser && install -d -o ser -g ser /project
COPY --from=build /opt/ser /opt/ser
ENV PATH=/opt/ser/bin:$PATH
USER 10001
WORKDIR /project
EXPOSE 8000
ENTRYPOINT ["ser-benchmark"]
CMD ["--help"]
