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
      "Everything that goes to the CAD, and everything that it broadcasts to all who are connected. A message's name is the Socket.io event, its payload the one argument.",
    servers: [ref("servers/cad")],
    bindings: { ws: { bindingVersion: "0.1.0" } },
  },
  unitRoom: {
    address: "unit:{unitId}",
    title: "The room of a unit",
    description:
      "The bridge hears what is said there after `join:unit`. Rooms are gone with the connection: it joins them again.",
    parameters: { unitId: { description: "The unit, as the CAD names it." } },
    servers: [ref("servers/cad")],
    bindings: { ws: { bindingVersion: "0.1.0" } },
  },
  journal: {
    address: "/events",
    title: "The journal",
    description:
      "Server-Sent Events: every event of the CAD in the order in which it came, and between them what the bridge itself has to say. `Last-Event-ID` resumes. Events named `bridge:position` are no entries: they say how far the stream has come.",
    servers: [ref("servers/bridge")],
    bindings: { http: { bindingVersion: "0.3.0" } },
  },
  webhooks: {
    address: null,
    title: "Webhooks",
    description: "To the URL of each destination: BILLING_API_URL, EPCR_API_URL and those of the routes file.",
    servers: [ref("servers/destination")],
    bindings: { http: { bindingVersion: "0.3.0" } },
  },
};

/** The messages between the bridge and its CAD as an AsyncAPI 3 document, made from the tables of commands and events. */
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
        "What the bridge says to the CAD, and what it hears from it, and what the services get of that: seen from the bridge, so that `send` is what it says. The HTTP side is in openapi.json.",
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
        title: "The bridge's own API",
        variables: host("The functions' host and port."),
        security: [ref("components/securitySchemes/bearer")],
      },
      destination: {
        host: "{host}",
        protocol: "https",
        title: "A service that takes webhooks",
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
