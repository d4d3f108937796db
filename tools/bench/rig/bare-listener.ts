import { io } from "socket.io-client";
import { BROADCAST_EVENT } from "./cad.ts";
import { createEventClock, type TakerQuestions } from "./event-times.ts";
import { serve } from "../load/helper.ts";

/** What our handler is held against: a Socket.io client with nothing behind it. */
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
