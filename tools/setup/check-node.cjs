/**
 * node -r ./tools/setup/check-node.cjs SCRIPT
 *
 * Loaded before every script of package.json: on a Node that is too old, says so and what to do, instead of a syntax
 * error. ES5 and CommonJS, because that is what a Node of any age understands.
 */
"use strict";

/** bootstrap.mjs provides its own Node for the rest. */
var BOOTSTRAP = [[20, 0]];
/**
 * TypeScript without a flag: 22.18 (nodejs.org/api/typescript.html). The package undici: 22.19. The package @prometheus-io/client: no
 * release that gets no long-term support (23, 25). As `engines` in package.json.
 */
var SCRIPT = [
  [22, 19],
  [24, 0],
  [26, 0],
];

/**
 * The message for a Node that cannot run a script; undefined if it can.
 * @param {string} version such as "v24.1.0"
 * @param {string} script its path
 */
function refusal(version, script) {
  var bootstrap = script.slice(-"bootstrap.mjs".length) === "bootstrap.mjs";
  var oldest = bootstrap ? BOOTSTRAP : SCRIPT;
  var parts = version.replace(/^v/, "").split(".");
  var major = Number(parts[0]);
  var minor = Number(parts[1]);
  var newEnough = major > oldest[oldest.length - 1][0];
  for (var i = 0; i < oldest.length; i++) if (major === oldest[i][0] && minor >= oldest[i][1]) newEnough = true;
  if (newEnough) return undefined;
  var needed = bootstrap ? "20 or newer" : "22 (from 22.19), 24, 26 or newer";
  var other = bootstrap ? "." : ", or `npm ci` without --omit=dev: it installs one that `npm run` uses.";
  return "This needs Node " + needed + "; this is " + version + ".\nInstall Node 24 from https://nodejs.org" + other;
}

var said = refusal(process.version, process.argv[1] || "");
if (said !== undefined) {
  process.stderr.write("\n" + said + "\n");
  process.exit(1);
}

module.exports = refusal;
