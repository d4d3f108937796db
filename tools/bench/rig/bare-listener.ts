import { io } from "socket.io-client";
import { BROADCAST_EVENT } from "./cad.ts";
import { createEventClock, type TakerQuestions } from "./event-times.ts";
import { serve } from "../load/helper.ts";

/** Baseline for the event handler: a bare Socket.io client. */
if (import.meta.main) {
  const clock = createEventClock();
  const socket = io(process.env["CAD_BACKEND_URL"] ?? "", {
    transports: ["websocket"],
    auth: { token: process.env["CAD_BACKEND_AUTH_TOKEN"] },
  });
  socket.on(BROADCAST_EVENT, ({ dueMs }: { dueMs: number }) => clock.came("client", dueMs));
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  serve<TakerQuestions>(clock.answers);
}
