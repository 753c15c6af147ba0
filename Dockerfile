# The router's image, and the example servers of docker-compose.yaml (--target servers).
#
#   docker build -t envoy-mcp-router .
#
# Neither a `# syntax=` line nor heredocs: it builds without BuildKit too.

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# Without install scripts: none is needed here, and the one of the package "node" brings a second Node.
RUN npm ci --ignore-scripts --no-audit --no-fund

FROM packages AS build
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

FROM node:24-bookworm-slim AS production
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

# Of all packages those of the example servers, in the versions of package-lock.json: a prune keeps what is installed.
FROM packages AS server-packages
RUN npm pkg delete dependencies devDependencies \
  && npm pkg set "dependencies.@modelcontextprotocol/server-everything=*" \
    "dependencies.@modelcontextprotocol/server-memory=*" "dependencies.mcp-proxy=*" \
  && npm prune --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim AS servers
# What server-memory remembers. A new volume is its owner's.
RUN mkdir /data && chown node:node /data
WORKDIR /app
COPY --from=server-packages /app/node_modules ./node_modules
ENV NODE_ENV=production PORT=3001 MEMORY_FILE_PATH=/data/memory.jsonl
USER node
HEALTHCHECK --interval=10s --timeout=3s CMD ["node", "-e", "require('node:net').connect(process.env.PORT, () => process.exit(0)).on('error', () => process.exit(1))"]
ENTRYPOINT ["node"]
CMD ["node_modules/@modelcontextprotocol/server-everything/dist/index.js", "streamableHttp"]

FROM node:24-bookworm-slim
ARG VERSION=0.1.0
# Whoever publishes an image says where it is from.
ARG SOURCE=
ARG REVISION=
LABEL org.opencontainers.image.title="envoy-mcp-router" \
  org.opencontainers.image.description="An external processor that turns Envoy into an MCP gateway" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="$VERSION" \
  org.opencontainers.image.source="$SOURCE" \
  org.opencontainers.image.revision="$REVISION"
WORKDIR /app
COPY --from=production /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY --from=build /app/dist ./dist
# Whoever serves `processor.http` elsewhere says so here, or runs the image with --no-healthcheck.
ENV NODE_ENV=production READYZ=http://127.0.0.1:9090/readyz
USER node
HEALTHCHECK --interval=10s --timeout=3s CMD ["node", "-e", "require('node:http').get(process.env.READYZ, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
# In exec form, so that SIGTERM reaches node. The flag: src/main.ts.
ENTRYPOINT ["node", "--max-semi-space-size=64", "/app/dist/main.js"]
CMD ["serve", "--config", "/etc/mcp-router/mcp-router.yaml"]
