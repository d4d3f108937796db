import { type Post, ServiceHost } from "../hosts/service-host.ts";
import { type Process, theProcess } from "../world/world.ts";

/**
 * Stands in the place of the package `undici` in the simulation: requests to the services of the same world. Interceptors run as
 * they do there: right before a request is written.
 */

interface Controller {
  abort(reason: Error): void;
}
interface Handler {
  onRequestStart?(controller: Controller, context: unknown): void;
  onResponseStart?(controller: Controller, status: number, headers: Record<string, string>): void;
  onResponseError?(controller: Controller, error: Error): void;
}
type Dispatch = (options: Post, handler: Handler) => boolean;
type Interceptor = (dispatch: Dispatch) => Dispatch;

export class Agent {
  readonly #process = theProcess();
  readonly #cuts = new Set<(error: Error) => void>();
  dispatch: Dispatch = (options, handler) => {
    exchange(this.#process, options, handler, this.#cuts);
    return true;
  };

  compose(interceptor: Interceptor): this {
    this.dispatch = interceptor(this.dispatch);
    return this;
  }

  /** Cuts what is in flight. */
  async destroy(): Promise<void> {
    for (const cut of this.#cuts) cut(failed("UND_ERR_DESTROYED"));
  }
}

export const buildConnector = () => () => undefined;

const failed = (code: string): Error => Object.assign(new Error(code), { code });

/** One request on its way to a service and back. */
function exchange(process: Process, post: Post, handler: Handler, cuts: Set<(error: Error) => void>): void {
  const { world } = process;
  let over = false;
  const controller: Controller = { abort: (reason) => fail(reason) };
  function fail(error: Error): void {
    if (over) return;
    over = true;
    cuts.delete(fail);
    handler.onResponseError?.(controller, error);
  }
  const breaks = (code: string) => world.after(world.delay("webhook breaks"), "", process, () => fail(failed(code)));
  cuts.add(fail);

  world.after(world.delay("webhook connect"), "", undefined, () => {
    if (over || process.life === "dead") return;
    const strike = world.step("webhook connect");
    if (strike?.fault === "crash before") return world.kill(process);
    if (strike?.fault === "freeze") world.freeze(process, strike.ms);
    if (strike?.fault === "refused") return void breaks("ECONNREFUSED");
    world.after(0, "", process, () => {
      if (over) return;
      handler.onRequestStart?.(controller, {});
      if (!over) world.after(0, "", undefined, () => send());
    });
  });

  function send(): void {
    if (process.life === "dead") return;
    const strike = world.step("webhook request");
    if (strike?.fault === "crash before") return world.kill(process);
    if (strike?.fault === "cut before") return void breaks("ECONNRESET");
    world.after(world.delay("webhook to"), "", undefined, () => {
      const answer = world.part(ServiceHost).take(post, strike);
      if (strike?.fault === "crash after") return world.kill(process);
      if (strike?.fault === "lost reply") return void breaks("UND_ERR_SOCKET");
      if (answer) world.after(answer.inMs + world.delay("webhook from"), "", undefined, () => hear(answer));
    });
    if (strike?.fault === "freeze") world.freeze(process, strike.ms);
  }

  function hear({ status, headers }: { status: number; headers: Record<string, string> }): void {
    if (process.life === "dead") return;
    const strike = world.step("webhook answer");
    if (strike?.fault === "crash before") return world.kill(process);
    if (strike?.fault === "cut before") return void breaks("ECONNRESET");
    if (strike?.fault === "freeze") world.freeze(process, strike.ms);
    world.after(0, "", process, () => {
      if (over) return;
      over = true;
      cuts.delete(fail);
      handler.onResponseStart?.(controller, status, headers);
    });
  }
}

interface RequestOptions {
  method: string;
  body: string | null;
  dispatcher: Agent;
  signal: AbortSignal;
}

export function request(url: string, { method, body, dispatcher, signal }: RequestOptions) {
  return new Promise((resolve, reject: (error: Error) => void) => {
    let controller: Controller | undefined;
    const abort = () => {
      const reason = signal.reason as Error;
      controller?.abort(reason);
      reject(reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    dispatcher.dispatch(
      { url, method, body: body ?? "" },
      {
        onRequestStart: (started) => void (controller = started),
        onResponseStart: (_, statusCode, headers) =>
          resolve({ statusCode, headers, body: { dump: async () => undefined } }),
        onResponseError: (_, error) => reject(error),
      },
    );
  });
}
