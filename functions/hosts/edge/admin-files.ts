import indexHtml from "../../admin/index.html";
import styleCss from "../../admin/style.css";
import iconSvg from "../../admin/icon.svg";
import mainJs from "../../admin/main.js";
import apiJs from "../../admin/api.js";
import domJs from "../../admin/dom.js";
import plotJs from "../../admin/plot.js";
import nowJs from "../../admin/now.js";
import commandsJs from "../../admin/commands.js";
import deadLettersJs from "../../admin/dead-letters.js";
import sseJs from "../../admin/sse.js";
import eventsJs from "../../admin/events.js";
import destinationsJs from "../../admin/destinations.js";
import incidentsJs from "../../admin/incidents.js";
import auditJs from "../../admin/audit.js";
import type { AdminFile } from "../../routes/admin.ts";

/** The files of the admin page, bundled as texts by wrangler. */
export const adminFiles = {
  "index.html": indexHtml,
  "style.css": styleCss,
  "icon.svg": iconSvg,
  "main.js": mainJs,
  "api.js": apiJs,
  "dom.js": domJs,
  "plot.js": plotJs,
  "now.js": nowJs,
  "commands.js": commandsJs,
  "dead-letters.js": deadLettersJs,
  "sse.js": sseJs,
  "events.js": eventsJs,
  "destinations.js": destinationsJs,
  "incidents.js": incidentsJs,
  "audit.js": auditJs,
} as const satisfies Record<AdminFile, string>;
