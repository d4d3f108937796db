import type { z } from "zod";
import { assignmentsSend } from "./assignments-send.ts";
import type { Command } from "./command.ts";
import { incidentsCreate } from "./incidents-create.ts";
import { incidentsStatus } from "./incidents-status.ts";
import { incidentsTimestamp } from "./incidents-timestamp.ts";
import { metricsBroadcast } from "./metrics-broadcast.ts";
import { roomsJoin, roomsLeave } from "./rooms.ts";
import { transportCompleted } from "./transport-completed.ts";
import { unitsLocation } from "./units-location.ts";
import { unitsStatus } from "./units-status.ts";

/** Every command. To add one: its file, and a line here. */
const declared = [
  assignmentsSend,
  unitsLocation,
  unitsStatus,
  incidentsCreate,
  incidentsStatus,
  incidentsTimestamp,
  transportCompleted,
  metricsBroadcast,
  roomsJoin,
  roomsLeave,
] as const;
export const commands: readonly Command[] = declared;

/** The request body of each command, as a client may write it. */
export type CommandBodies = { [C in (typeof declared)[number] as C["name"]]: z.input<C["body"]> };

const byName = new Map(commands.map((command) => [command.name, command]));

/** The command with that name; undefined for one of a newer version. */
export const commandNamed = (name: string): Command | undefined => byName.get(name);
