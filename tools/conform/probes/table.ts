import type { Probe } from "./probe.ts";
import { authentication } from "./authentication.ts";
import { barrier } from "./barrier.ts";
import { events } from "./events.ts";
import { limits } from "./limits.ts";
import { order } from "./order.ts";
import { recovery } from "./recovery.ts";
import { replay } from "./replay.ts";
import { rooms } from "./rooms.ts";

/** All probes, in order of execution. To add one: its file, and a line here. */
export const probes: readonly Probe[] = [limits, authentication, barrier, rooms, replay, recovery, events, order];
