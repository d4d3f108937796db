// The image's health check: a worker answers on WORKER_PORT, the functions on PORT. It asks whether the process works, not
// whether its CAD does: an outage of the CAD is no reason to restart the bridge.
const { CAD_BACKEND_URL, WORKER_PORT = "9464", PORT = "8000" } = process.env;
const url = CAD_BACKEND_URL
  ? `http://127.0.0.1:${WORKER_PORT}/health`
  : `http://127.0.0.1:${PORT}/api/socket-bridge/openapi.json`;
const { ok } = await fetch(url, { signal: AbortSignal.timeout(2500) }).catch(() => ({ ok: false }));
process.exit(ok ? 0 : 1);
