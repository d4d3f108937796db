/**
 * The part of the Workers runtime that the edge host uses. Its full types would redefine `fetch` and others for the whole
 * project, which also runs on Node.
 */
declare module "cloudflare:workers" {
  /** A single instance worldwide per name, for as long as it is used. */
  export abstract class DurableObject<Env> {
    protected readonly env: Env;
    constructor(state: unknown, env: Env);
  }

  /** Methods may be called remotely; arguments and results are copied, and errors lose their class. */
  export interface DurableObjectNamespace<T> {
    getByName(name: string): Stub<T>;
  }
  type Stub<T> = { [Method in keyof T as T[Method] extends Rpc ? Method : never]: T[Method] };
  type Rpc = (...args: never[]) => Promise<unknown>;

  /** A binding to the static files deployed with the worker. */
  export interface StaticAssets {
    fetch(url: string): Promise<Response>;
  }
}
