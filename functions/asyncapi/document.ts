import { commands } from "../../shared/commands/table.ts";
import { events } from "../../shared/events/table.ts";
import { INFO, type Json } from "../openapi/parts.ts";
import { commandParts } from "./commands.ts";
import { connectionParts } from "./connection.ts";
import { eventPart } from "./events.ts";
import type { Channel } from "./parts.ts";
import { journalParts, webhookParts } from "./services.ts";

const ref = (to: string): Json => ({ $ref: `#/${to}` });
const host = (what: string): Json => ({ host: { description: what, default: "localhost" } });

const CHANNELS: Readonly<Record<Channel, Json>> = {
  cad: {
    address: "/",
    title: "The CAD's namespace",
    description:
      "All messages to the CAD, and its broadcasts to all clients. A message's name is the Socket.io event, its payload the only argument.",
    servers: [ref("servers/cad")],
    bindings: { ws: { bindingVersion: "0.1.0" } },
  },
  unitRoom: {
    address: "unit:{unitId}",
    title: "The room of a unit",
    description:
      "The bridge receives its messages after `join:unit`. Rooms do not survive a disconnect: the bridge joins them again.",
    parameters: { unitId: { description: "The unit, as the CAD names it." } },
    servers: [ref("servers/cad")],
    bindings: { ws: { bindingVersion: "0.1.0" } },
  },
  journal: {
    address: "/events",
    title: "The journal",
    description:
      "Server-Sent Events: every event of the CAD in the order in which it came, and reports of the bridge itself. `Last-Event-ID` resumes. Events named `bridge:position` are not entries: they carry the position to resume from.",
    servers: [ref("servers/bridge")],
    bindings: { http: { bindingVersion: "0.3.0" } },
  },
  webhooks: {
    address: null,
    title: "Webhooks",
    description: "Requests to the URL of each destination: BILLING_API_URL, EPCR_API_URL and those of the routes file.",
    servers: [ref("servers/destination")],
    bindings: { http: { bindingVersion: "0.3.0" } },
  },
};

/** The messages between the bridge and its CAD as an AsyncAPI 3 document, derived from the command and event tables. */
export function asyncApi(basePath: string): Json {
  const parts = [
    ...connectionParts(),
    ...commands.flatMap(commandParts),
    ...events.map(eventPart),
    ...journalParts(),
    ...webhookParts(),
  ];
  const messagesOf = (channel: string) =>
    Object.fromEntries(
      parts.filter((p) => p.channel === channel).map(({ key }) => [key, ref(`components/messages/${key}`)]),
    );
  return {
    asyncapi: "3.1.0",
    info: {
      ...INFO,
      description:
        "The messages between bridge and CAD, and what services receive, seen from the bridge: `send` is what the bridge sends. The HTTP API is in openapi.json.",
    },
    defaultContentType: "application/json",
    servers: {
      cad: {
        host: "{host}",
        protocol: "ws",
        title: "The CAD",
        description:
          "A Socket.io 4 server (Engine.IO 4, WebSocket), named by CAD_BACKEND_URL; wss where that is https. The path of the URL is the namespace.",
        variables: host("The CAD's host and port."),
        security: [ref("components/securitySchemes/token")],
        "x-socketio": { version: 4, namespace: "/", handshake: { auth: { token: "string" } }, acks: "optional" },
      },
      bridge: {
        host: "{host}",
        pathname: basePath,
        protocol: "https",
        title: "The bridge's HTTP API",
        variables: host("The functions' host and port."),
        security: [ref("components/securitySchemes/bearer")],
      },
      destination: {
        host: "{host}",
        protocol: "https",
        title: "A service that receives webhooks",
        variables: host("The host and port of its URL."),
      },
    },
    channels: Object.fromEntries(
      Object.entries(CHANNELS).map(([name, channel]) => [name, { ...channel, messages: messagesOf(name) }]),
    ),
    operations: Object.fromEntries(parts.map(({ key, operation }) => [key, operation])),
    components: {
      messages: Object.fromEntries(parts.map(({ key, message }) => [key, message])),
      securitySchemes: {
        token: {
          type: "apiKey",
          in: "user",
          description: "CAD_BACKEND_AUTH_TOKEN, in the handshake's `auth: { token }`.",
        },
        bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
      },
    },
  };
}
