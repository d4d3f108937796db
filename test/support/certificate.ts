import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** A self-signed certificate for localhost and 127.0.0.1, made by the openssl of this machine: its file and its key's. */
export function makeCertificate(dir: string): { cert: string; key: string } {
  const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  execFileSync("openssl", ["req", ...kind, ...name, "-keyout", key, "-out", cert], { stdio: "pipe" });
  return { cert, key };
}
