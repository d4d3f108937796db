/**
 * node -r ./tools/setup/load-env.cjs SCRIPT
 *
 * Reads the file .env of the current directory, or the one that ENV_FILE names, into the environment, if it is there. What the
 * environment has already is not changed. A service manager that sets the environment itself needs no such file.
 */
"use strict";

/** Exit code for an invalid configuration (sysexits.h: EX_CONFIG). */
var EX_CONFIG = 78;

var named = process.env.ENV_FILE;
var path = named || ".env";
try {
  process.loadEnvFile(path);
} catch (error) {
  if (error.code !== "ENOENT" || named) {
    process.stderr.write(
      "\nThe file " + path + " cannot be read (" + error.code + "). Fix it, or set ENV_FILE to another one.\n",
    );
    process.exit(EX_CONFIG);
  }
}
