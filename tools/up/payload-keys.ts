import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The environment with the keys that encrypt payloads: the configured ones, or a key generated for this demo and kept next
 * to its Redis data, which may outlive a run.
 */
export function payloadKeys(dir: string): Record<string, string> {
  if (process.env["PAYLOAD_KEYS"] || process.env["PAYLOAD_KEYS_FILE"]) return {};
  const file = join(dir, "payload-keys");
  if (!existsSync(file)) {
    mkdirSync(dir, { recursive: true });
    const id = `demo-${randomBytes(3).toString("hex")}`;
    writeFileSync(file, `${id}:${randomBytes(32).toString("base64")}\n`, { mode: 0o600 });
  }
  return { PAYLOAD_KEYS: readFileSync(file, "utf8").trim() };
}
