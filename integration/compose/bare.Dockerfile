# A host of docs/cluster.md: a bare Debian and what the document has apt-get install. Nothing of Storm is in it.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
ARG PACKAGES
ARG DEBIAN_FRONTEND=noninteractive
RUN bash -euc "$PACKAGES" && apt-get clean && rm -r /var/lib/apt/lists/*
CMD ["sleep", "infinity"]
